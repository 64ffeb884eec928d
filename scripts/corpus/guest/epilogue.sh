echo 'corpus: done'
poweroff -f
