# What busybox does over the tree in ./tree; `work: NAME=VALUE` for each result. It runs within the guest with BB=busybox, on an
# emulator with BB="qemu-aarch64 busybox", and with an empty BB with the machine's own tools.
# The shell is whichever runs this: nothing here is beyond POSIX.
export LC_ALL=C
say() { echo "work: $1=$2"; }
sum() { $BB sha256sum | $BB cut -d ' ' -f 1; }

files=$($BB find tree -type f | $BB sort)
say files "$(echo "$files" | sum)"
for algorithm in md5sum sha1sum sha256sum sha3sum sha512sum; do
  say $algorithm "$($BB $algorithm $files | sum)"
done
$BB cat $files > all
$BB cat tree/text/* > text
say all "$(sum < all)"

# Two at a time, so that two vCPUs have something to do.
packing() {
  $BB gzip -9 < all > all.gz
  say packed-gzip "$(sum < all.gz)"
  say gunzip "$($BB gunzip < all.gz | sum)"
}
blocks() {
  $BB bzip2 -c < all > all.bz2
  say packed-bzip2 "$(sum < all.bz2)"
  say bunzip2 "$($BB bunzip2 -c < all.bz2 | sum)"
}
packing > packing.out &
blocks > blocks.out &
wait
$BB cat packing.out blocks.out

say sort "$($BB sort text | sum)"
say sort-unique "$($BB tr -s ' ' '\n' < text | $BB sort -u | sum)"
say sort-numbers "$($BB sort -t , -k 3,3n -k 2,2r tree/table.csv | sum)"
say sort-reverse "$($BB sort -r -n tree/table.csv | sum)"
say words "$($BB tr -s ' ' '\n' < text | $BB sort | $BB uniq -c | $BB sort -k 1,1nr -k 2,2 | $BB sed 's/^ *//' | sum)"
say counts "$($BB wc -l -w -c < text | $BB tr -s ' ' | $BB sed 's/^ //')"
say grep "$($BB grep -c 'a.*e.*1' text)"
say sed "$($BB sed -e 's/\([a-e]\)\([0-9]\)/\2\1/g' -e '/q/d' text | sum)"
say dump "$($BB od -A d -t x1 all | $BB head -n 2000 | sum)"

say awk-words "$($BB awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print w, n[w] }' text | $BB sort | sum)"
say awk-columns "$($BB awk -F , '{ s += $3; m[$2] += $1 } END { printf "%.6f\n", s; for (k in m) print k, m[k] }' tree/table.csv | $BB sort | sum)"
say awk-floating-point "$($BB awk 'BEGIN { x = 1; for (i = 1; i <= 3000; i++) { x = x * 1.0001 + 1 / i; printf "%.15g %d\n", x, x * 1000 } }' | sum)"

say bc-pi "$(echo 'scale=200; 4*a(1)' | $BB bc -l | $BB tr -d '\\\n')"
say bc-power "$(echo '2^2000 % (10^40+7); sqrt(2*10^80)' | $BB bc | $BB tr -d '\\\n')"
say bc-series "$(echo 'scale=40; s=0; for (i=1; i<300; i=i+1) s=s+1/(i*i); s' | $BB bc | $BB tr -d '\\\n')"

$BB mkdir out again
$BB tar cf - tree | $BB tar xf - -C out
say tar-names "$($BB tar cf - tree | $BB tar tf - | $BB sed 's,/$,,' | $BB sort | sum)"
say tar-files "$(cd out && $BB sha256sum $files | sum)"
$BB tar cf - tree | $BB gzip | $BB gunzip | $BB tar xf - -C again
say tar-same "$($BB diff -r tree again/tree && echo yes)"

say factors "$($BB factor 9223372036854775807 1000036000099 720720 | sum)"
say uuencode "$($BB uuencode all < all | sum)"

h=7
i=0
while [ $i -lt 3000 ]; do
  h=$(((h * 31 + i) % 1000003 ^ (h >> 3)))
  i=$((i + 1))
done
say shell "$h"
say end yes
