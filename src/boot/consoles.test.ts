import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mainConsoleOf } from './consoles.js';

describe('the main console', () => {
  it('is the last that the command line names', () => {
    assert.equal(mainConsoleOf('console=hvc0 console=ttyAMA0'), 'uart');
    assert.equal(mainConsoleOf('quiet console=ttyAMA0,115200 console=hvc0 panic=1'), 'pvConsole');
  });

  it('is the UART where it names none', () => {
    assert.equal(mainConsoleOf(''), 'uart');
    assert.equal(mainConsoleOf('noconsole=hvc0'), 'uart');
  });
});
