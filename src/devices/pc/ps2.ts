/**
 * A keyboard and a mouse with PS/2 ports that nobody touches: they answer commands (QEMU hw/input/ps2.c; IBM PS/2 Hardware Interface
 * Technical Reference). The answer to a command replaces what is left of the one before.
 */

export interface KeyboardState {
  /** Bytes that wait for the controller, oldest first. */
  queue: number[];
  /** The command whose parameter is awaited; null for none. */
  awaits: number | null;
  /** 1 to 3. */
  scanCodes: number;
}

export interface MouseState {
  queue: number[];
  awaits: number | null;
  /** Stream or remote mode, scaling, and whether it reports: bits 6, 4 and 5 of its status. */
  status: number;
  resolution: number;
  rate: number;
  /** 0; 3 with a wheel, 4 with five buttons, which a sequence of rates turns on. */
  kind: number;
  /** How far that sequence has come. */
  knocks: number[];
  /** It echoes what it is sent. */
  isWrapped: boolean;
}

const [acknowledged, resend, passed] = [0xfa, 0xfe, 0xaa];

export function newKeyboard(): KeyboardState {
  return { queue: [], awaits: null, scanCodes: 2 };
}

export function newMouse(): MouseState {
  return {
    queue: [],
    awaits: null,
    status: 0,
    resolution: 2,
    rate: 100,
    kind: 0,
    knocks: [],
    isWrapped: false,
  };
}

/** The number of a set of scan codes as the controller translates it. */
const translated = [0x43, 0x41, 0x3f] as const;

function keyboardParameter(
  keyboard: KeyboardState,
  command: number,
  value: number,
  isTranslated: boolean,
): readonly number[] {
  if (command !== 0xf0) return [acknowledged];
  if (value > 3) return [resend];
  if (value !== 0) {
    keyboard.scanCodes = value;
    return [acknowledged];
  }
  const { scanCodes } = keyboard;
  return [acknowledged, isTranslated ? (translated[scanCodes - 1] ?? scanCodes) : scanCodes];
}

function keyboardCommand(keyboard: KeyboardState, value: number, isTranslated: boolean): readonly number[] {
  switch (value) {
    case 0xed: // lamps
    case 0xf0: // scan codes
    case 0xf3: // repetition
      keyboard.awaits = value;
      return [acknowledged];
    case 0xee:
      return [0xee];
    case 0xf2:
      return [acknowledged, 0xab, isTranslated ? 0x41 : 0x83];
    case 0x00:
    case 0xf4:
      return [acknowledged];
    case 0xf5:
    case 0xf6:
      keyboard.scanCodes = 2;
      return [acknowledged];
    case 0xff:
      keyboard.scanCodes = 2;
      return [acknowledged, passed];
    default:
      return [resend];
  }
}

/** The keyboard is sent a byte. `isTranslated`: whether the controller translates scan codes. */
export function sendToKeyboard(keyboard: KeyboardState, value: number, isTranslated: boolean): void {
  const { awaits } = keyboard;
  keyboard.awaits = null;
  keyboard.queue =
    awaits === null
      ? [...keyboardCommand(keyboard, value, isTranslated)]
      : [...keyboardParameter(keyboard, awaits, value, isTranslated)];
}

function setDefaults(mouse: MouseState): void {
  mouse.status = 0;
  mouse.resolution = 2;
  mouse.rate = 100;
}

function setRate(mouse: MouseState, value: number): void {
  mouse.rate = value;
  mouse.knocks = [...mouse.knocks, value].slice(-3);
  const [first, second, third] = mouse.knocks;
  if (first !== 200 || third !== 80) return;
  if (second === 100) mouse.kind = 3;
  if (second === 200) mouse.kind = 4;
}

const report = [0x08, 0, 0] as const;

/** Commands that set or clear bits of the status: scaling, remote mode, and reports. */
const statusChanges: ReadonlyMap<number, readonly [clear: number, set: number]> = new Map([
  [0xe6, [0x10, 0]],
  [0xe7, [0, 0x10]],
  [0xea, [0x40, 0]],
  [0xf0, [0, 0x40]],
  [0xf4, [0, 0x20]],
  [0xf5, [0x20, 0]],
]);

/** The answer to a command; empty for an unknown one. */
function mouseCommand(mouse: MouseState, value: number): readonly number[] {
  const change = statusChanges.get(value);
  if (change !== undefined) {
    mouse.status = (mouse.status & ~change[0]) | change[1];
    return [acknowledged];
  }
  switch (value) {
    case 0xe8: // resolution
    case 0xf3: // rate
      mouse.awaits = value;
      return [acknowledged];
    case 0xe9:
      return [acknowledged, mouse.status, mouse.resolution, mouse.rate];
    case 0xeb:
      return [acknowledged, ...report, ...(mouse.kind === 0 ? [] : [0])];
    case 0xec:
    case 0xee:
      mouse.isWrapped = value === 0xee;
      return [acknowledged];
    case 0xf2:
      return [acknowledged, mouse.kind];
    case 0xf6:
      setDefaults(mouse);
      return [acknowledged];
    case 0xff:
      setDefaults(mouse);
      mouse.kind = 0;
      return [acknowledged, passed, mouse.kind];
    default:
      return [];
  }
}

/** The mouse is sent a byte. */
export function sendToMouse(mouse: MouseState, value: number): void {
  const { awaits } = mouse;
  mouse.awaits = null;
  if (awaits === 0xe8) mouse.resolution = value;
  else if (awaits === 0xf3) setRate(mouse, value);
  else if (mouse.isWrapped && value !== 0xec && value !== 0xff) {
    mouse.queue = [value];
    return;
  } else {
    if (value === 0xff) mouse.isWrapped = false;
    mouse.queue = [...mouseCommand(mouse, value)];
    return;
  }
  mouse.queue = [acknowledged];
}
