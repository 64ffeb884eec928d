/** What draws a run, on runs put together by hand: likely ones and hostile ones. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  callEvent,
  cpuEvent,
  cpuRow,
  endEvent,
  handMadeRun,
  handMadeScenario,
  kernelEvent,
  startEvent,
  strayEvent,
} from '../../../test/hand_made_run.js';
import { sequenceOf, tallyOf } from '../../explore/index.js';
import type { MatrixRow, ModelRun, ToldStory } from '../../explore/index.js';
import { mpidr } from '../../identity/index.js';
import { cpuTable } from './cpu_table.js';
import { escapeHtml } from './markup.js';
import { matrixText } from './matrix_text.js';
import { sequenceLines } from './sequence_text.js';
import { storyLines } from './story_text.js';
import { commandLines, createStyle, labelled, wrap } from './style.js';
import { tableLines } from './table.js';
import { threadHtml } from './thread_html.js';
import { threadText } from './thread_text.js';

const plain = createStyle(false, 100);

function told(run: ModelRun, words: Partial<ToldStory> = {}): ToldStory {
  const said = {
    number: 1,
    name: run.scenario.name,
    title: 'A title',
    why: 'A reason.',
    onStock: null,
    afterword: ['A sentence.'],
  };
  return { ...said, run, sequence: sequenceOf(run), tally: tallyOf(run), ...words };
}

describe('lines', () => {
  it('are wrapped at spaces, lose no word and end without blanks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 }),
        fc.integer({ min: 12, max: 60 }),
        (words, width) => {
          const lines = wrap(words.join(' '), width);
          assert.deepEqual(lines.join(' ').split(' '), words);
          assert.ok(lines.every((line) => line.length <= width && line === line.trimEnd()));
        },
      ),
      { seed: 1 },
    );
  });

  it('hang below their label', () => {
    assert.deepEqual(labelled('Why: ', 'one two', 9), ['Why: one', '     two']);
  });

  it('of a command can be pasted into a shell', () => {
    const command = 'npx domulator crash --arch amd64 --type hvm --crash-on 2';
    const lines = commandLines(command, 30);
    assert.ok(lines.length > 1 && lines.every((line) => line.length <= 30), lines.join('\n'));
    const shell = spawnSync('sh', ['-c', `set -- ${lines.join('\n')}; printf '%s ' "$@"`]);
    assert.equal(shell.stdout.toString().trimEnd(), command);
  });

  it('of a table are as wide as their cells, whatever colours are in them', () => {
    const bold = createStyle(true, 100).strong('wide cell');
    const [head = '', rule = '', row = ''] = tableLines(['a', 'b'], [[bold, 'x']]);
    assert.equal(head.indexOf('b'), '  wide cell  '.length);
    assert.equal(rule.trimEnd(), '  ─────────  ─');
    assert.ok(row.includes(bold));
  });
});

describe('a sequence on the terminal', () => {
  const lines = (run: ModelRun): string[] => sequenceLines(sequenceOf(run), plain);

  it('draws who calls, who is named, and what was answered', () => {
    const run = handMadeRun([callEvent(2, 'EVTCHNOP_bind_ipi', 0), callEvent(2, 'VCPUOP_up', 1, -22)], {
      0: 2,
    });
    assert.deepEqual(lines(run), [
      '  v0   v1   v2   Xen',
      '  ✗    │    ●────▶  EVTCHNOP_bind_ipi(0)  → 0  SILENT, meant vCPU 2',
      '  │    ◆    ●────▶  VCPUOP_up(1)  → -EINVAL  refused, though the id is right',
    ]);
  });

  it('draws an id that names no vCPU, and a call on oneself', () => {
    const run = handMadeRun([callEvent(0, 'EVTCHNOP_init_control', 0xffff_ffff, -2), callEvent(0, 'A', 0)]);
    assert.deepEqual(lines(run), [
      '  v0   Xen',
      '  ●────▶  EVTCHNOP_init_control(0xffffffff)  → -ENOENT  refused, no id is right here',
      '  ●────▶  A(0)  → 0',
    ]);
  });

  it('draws starts in both directions, and one that names nobody', () => {
    const events = [startEvent(1, 2), cpuEvent('running', 2), startEvent(1, 0), startEvent(1, null, -2)];
    assert.deepEqual(lines(handMadeRun(events)), [
      '  v0   v1   v2   Xen',
      '  │    ●────▶    │  CPU_ON of vCPU 2  → SUCCESS  runs as CPU 2',
      '  ◀────●    │    │  CPU_ON of vCPU 0  → SUCCESS  it never runs (meant as CPU 0)',
      '  │    ●    │    │  CPU_ON of no vCPU  → INVALID_PARAMS  it never runs (meant as CPU 0)',
    ]);
  });

  it('draws events that go astray, resets and repetition', () => {
    const events = [
      strayEvent(0, 0, 1),
      { kind: 'reset' } as const,
      cpuEvent('offline', 1),
      cpuEvent('offline', 2),
      cpuEvent('offline', 3),
    ];
    assert.deepEqual(lines(handMadeRun(events)), [
      '  v0   v1   Xen',
      '  ✗    │    │  an event for CPU 1 (timer) comes to CPU 0',
      '  ═══════════  Xen resets the domain: all that the guest had registered is gone',
      '  │    ▼    │  CPU 1 goes offline',
      '  │    │    │  the step above again, for vCPUs 2 and 3',
    ]);
  });
});

describe('the table of CPUs', () => {
  it('draws CPUs together that go on alike, and no others', () => {
    const rows = [
      cpuRow(0, 3, 3),
      ...[1, 2, 3, 4].map((cpu) => cpuRow(cpu, cpu - 1, cpu - 1)),
      cpuRow(5, 4, 5),
    ];
    const { lines } = cpuTable(handMadeRun([kernelEvent(0)], {}, { cpus: rows }));
    assert.deepEqual(
      lines.map(({ cpu, vcpu, recorded, isTrue }) => [cpu, vcpu, recorded, isTrue]),
      [
        ['0', '3', '3', true],
        ['1 to 4', '0 to 3', '0 to 3', true],
        ['5', '4', '5', false],
      ],
    );
  });

  it('knows by its hardware id which vCPU a CPU is that never ran', () => {
    const { lines } = cpuTable(
      handMadeRun([], {}, { cpus: [{ ...cpuRow(1, null, null, false), hardwareId: mpidr(2) }] }),
    );
    assert.deepEqual(lines, [
      { cpu: '1', hardwareId: '0x2', vcpu: '2', recorded: 'not set', isTrue: null, online: false },
    ]);
  });
});

describe('a story', () => {
  it('ends with what became of the guest and which rules were broken', () => {
    const finding = {
      step: 0,
      timeNs: 0n,
      op: null,
      linuxCpu: null,
      callingVcpu: null,
      passed: null,
      meant: null,
      returned: null,
    };
    const findings = [1, 2].map((cpu) => ({ rule: 'some-rule', why: `CPU ${cpu} did it`, ...finding }));
    const run = handMadeRun([endEvent('panic', 'it broke')], {}, { findings });
    const lines = storyLines(told(run), plain);
    assert.ok(lines.includes('Ending: panic: it broke'));
    assert.ok(lines.includes('Audit:  broken: some-rule ×2'));
    assert.ok(lines.includes('        some-rule: CPU 1 did it'));
    assert.ok(!lines.some((line) => line.includes('CPU 2 did it')));
  });

  it('says nothing by colour alone', () => {
    const run = handMadeRun([callEvent(1, 'A', 0), callEvent(1, 'A', 0, -22)], { 0: 1, 1: 1 });
    // eslint-disable-next-line no-control-regex
    const bare = threadText([told(run)], createStyle(true, 100)).replace(/\u001b\[\d+m/g, '');
    assert.equal(bare, threadText([told(run)], plain));
  });
});

describe('the page', () => {
  const hostile = `<script>alert("1")</script>&'\u0000\u001b[2J</style><!--`;

  it('escapes whatever a guest or a scenario calls itself', () => {
    const run = handMadeRun(
      [
        kernelEvent(0, hostile),
        callEvent(0, hostile, 1),
        strayEvent(0, 0, 1, hostile),
        endEvent('hang', hostile),
      ],
      { 1: 2 },
      {
        scenario: { ...handMadeScenario, name: hostile, idPolicy: hostile },
        findings: [
          {
            rule: hostile,
            why: hostile,
            step: 0,
            timeNs: 0n,
            op: hostile,
            linuxCpu: null,
            callingVcpu: null,
            passed: null,
            meant: null,
            returned: null,
          },
        ],
      },
    );
    const page = threadHtml([told(run, { title: hostile, why: hostile, afterword: [hostile] })]);
    assert.deepEqual(page.match(/<script|<!--|(?!\n)\p{Cc}/gu), null);
    assert.equal(page.match(/<\/style>/g)?.length, 1);
    assert.ok(page.includes('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;'));
  });

  it('escapes so that text and attributes read back as they were', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const escaped = escapeHtml(text);
        assert.doesNotMatch(escaped, /[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
        const back = escaped
          .replaceAll('&lt;', '<')
          .replaceAll('&gt;', '>')
          .replaceAll('&quot;', '"')
          .replaceAll('&#39;', "'")
          .replaceAll('&amp;', '&');
        assert.equal(back, text.replace(/(?![\t\n\r])[\p{Cc}\ufffe\uffff]/gu, '\ufffd'));
      }),
      { seed: 1 },
    );
  });
});

describe('the matrix', () => {
  const cell = {
    kind: 'boot',
    scenario: handMadeScenario,
    notApplicable: null,
    outcome: 'userspace',
    ending: '',
  } as const;
  const passes: MatrixRow = { ...cell, strategy: 'mend', platform: 'arm', passed: true, firstBroken: null };
  const other: MatrixRow = { ...passes, strategy: 'mend-nr-cpus' };

  it('puts strategies that come out alike into one column', () => {
    const text = matrixText([passes, other], plain);
    assert.match(text, /^ {2}scenario +mend,\n +mend-nr-cpus\n[ ─]+\n {2}boot +pass$/m);
  });

  it('names what became of the guest where no rule says why it failed', () => {
    const text = matrixText([passes, { ...other, passed: false, outcome: 'hang' }], plain);
    assert.match(text, /^ {2}boot +pass +hang$/m);
    assert.match(text, /^2 runs: 1 pass, 1 do not; 0 cells do not apply\.$/m);
  });

  it('says why a cell does not apply', () => {
    const row: MatrixRow = {
      ...other,
      kind: 'kexec',
      scenario: null,
      notApplicable: 'because',
      passed: null,
      outcome: null,
      ending: null,
    };
    assert.match(matrixText([passes, row], plain), /^ {2}n\.a\. {2}mend-nr-cpus: because$/m);
  });
});
