/**
 * The i8042 controller of keyboard and mouse (QEMU hw/input/pckbd.c; IBM PS/2 Hardware Interface Technical Reference): ports 0x60 and
 * 0x64. It also drives the reset line.
 */
import { newKeyboard, newMouse, sendToKeyboard, sendToMouse } from './ps2.js';
import type { KeyboardState, MouseState } from './ps2.js';

export interface I8042State {
  /** The controller's command byte. */
  mode: number;
  /** Whether its self-test was run. */
  isTested: boolean;
  outputPort: number;
  /** The command whose parameter is awaited at port 0x60; 0 for none: it is the keyboard's. */
  awaits: number;
  /** The byte that port 0x60 gives, and whether it is the mouse's; null if there is none. */
  output: { readonly value: number; readonly isMouse: boolean } | null;
  /** The last byte of port 0x60, which stays there. */
  last: number;
  keyboard: KeyboardState;
  mouse: MouseState;
}

export interface I8042Port {
  /** Drives ISA interrupt 1, the keyboard's, or 12, the mouse's. */
  drive(irq: 1 | 12, isHigh: boolean): void;
  /** The machine is to be reset. */
  reset(): void;
}

/** Bits of the command byte: interrupts, ports that are off, translation. */
const mode = {
  keyboardInterrupt: 1,
  mouseInterrupt: 2,
  keyboardOff: 0x10,
  mouseOff: 0x20,
  translates: 0x40,
} as const;
/** Status: output is there, self-test done, a command was last (always), not locked, and the output is the mouse's. */
const status = { full: 1, tested: 4, always: 0x18, mouse: 0x20 } as const;
const outputPort = { notReset: 1, address20: 2, ones: 0xcc } as const;

/** As firmware leaves it: the keyboard on, with its interrupt and translation, the mouse off. */
export function newI8042(): I8042State {
  return {
    mode: mode.keyboardInterrupt | mode.mouseOff | mode.translates,
    isTested: true,
    outputPort: outputPort.notReset | outputPort.address20 | outputPort.ones,
    awaits: 0,
    output: null,
    last: 0,
    keyboard: newKeyboard(),
    mouse: newMouse(),
  };
}

function drive({ output, mode: bits }: I8042State, port: I8042Port): void {
  const [isKeyboard, isMouse] = [output?.isMouse === false, output?.isMouse === true];
  port.drive(1, isKeyboard && (bits & mode.keyboardInterrupt) !== 0);
  port.drive(12, isMouse && (bits & mode.mouseInterrupt) !== 0);
}

/** Takes the next byte from a device that is on, if port 0x60 is empty, and drives the interrupts. */
function refill(state: I8042State, port: I8042Port): void {
  const take = (queue: number[], off: number, isMouse: boolean): void => {
    if (state.output !== null || (state.mode & off) !== 0) return;
    const value = queue.shift();
    if (value !== undefined) state.output = { value, isMouse };
  };
  take(state.keyboard.queue, mode.keyboardOff, false);
  take(state.mouse.queue, mode.mouseOff, true);
  drive(state, port);
}

/** The controller answers by itself, before the devices. */
function answer(state: I8042State, port: I8042Port, value: number, isMouse = false): void {
  if (state.output !== null) {
    state.output = null;
    drive(state, port);
  }
  state.output = { value, isMouse };
  drive(state, port);
}

/** Reads port 0x60. */
export function readI8042Data(state: I8042State, port: I8042Port): number {
  if (state.output !== null) {
    state.last = state.output.value;
    state.output = null;
    drive(state, port);
    refill(state, port);
  }
  return state.last;
}

/** Reads port 0x64. */
export function readI8042Status({ output, isTested }: I8042State): number {
  return (
    status.always |
    (isTested ? status.tested : 0) |
    (output === null ? 0 : status.full) |
    (output?.isMouse === true ? status.mouse : 0)
  );
}

function setMode(state: I8042State, port: I8042Port, value: number): void {
  state.mode = value;
  refill(state, port);
}

function writeOutputPort(state: I8042State, port: I8042Port, value: number): void {
  state.outputPort = value;
  if ((value & outputPort.notReset) === 0) port.reset();
}

/** Commands with a parameter: command byte, output port, bytes as if from keyboard or mouse, and to the mouse. */
const withParameter: readonly number[] = [0x60, 0xd1, 0xd2, 0xd3, 0xd4];

/** Writes port 0x64: a command. */
export function writeI8042Command(state: I8042State, port: I8042Port, value: number): void {
  if (value >= 0xf0) {
    // The four lowest lines are pulsed; the first is the reset line.
    if ((value & 1) === 0) port.reset();
    return;
  }
  if (withParameter.includes(value)) {
    state.awaits = value;
    return;
  }
  const given = answerTo(state, value);
  if (given !== null) answer(state, port, given);
  if (value === 0xa7) setMode(state, port, state.mode | mode.mouseOff);
  if (value === 0xa8) setMode(state, port, state.mode & ~mode.mouseOff);
  if (value === 0xad) setMode(state, port, state.mode | mode.keyboardOff);
  if (value === 0xae) setMode(state, port, state.mode & ~mode.keyboardOff);
  if (value === 0xdd || value === 0xdf) {
    state.outputPort = (state.outputPort & ~outputPort.address20) | (value & 2);
  }
}

/** What the controller answers to a command: command byte, tests of mouse, of itself and of keyboard, and its ports; null if nothing. */
function answerTo(state: I8042State, value: number): number | null {
  switch (value) {
    case 0x20:
      return state.mode;
    case 0xa9:
    case 0xab:
      return 0;
    case 0xaa:
      state.isTested = true;
      return 0x55;
    case 0xc0:
      return 0x80;
    case 0xd0:
      return state.outputPort;
    default:
      return null;
  }
}

/** Writes port 0x60: a parameter of a command, or a byte for the keyboard. */
export function writeI8042Data(state: I8042State, port: I8042Port, value: number): void {
  const { awaits } = state;
  state.awaits = 0;
  switch (awaits) {
    case 0x60:
      setMode(state, port, value);
      return;
    case 0xd1:
      writeOutputPort(state, port, value);
      return;
    case 0xd2:
    case 0xd3:
      answer(state, port, value, awaits === 0xd3);
      return;
    case 0xd4:
      sendToMouse(state.mouse, value);
      state.mode &= ~mode.mouseOff;
      break;
    default:
      sendToKeyboard(state.keyboard, value, (state.mode & mode.translates) !== 0);
      state.mode &= ~mode.keyboardOff;
  }
  refill(state, port);
}
