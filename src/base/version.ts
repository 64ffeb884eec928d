/** The version of this package, which reports and files name. A test holds it against package.json. */
export const domulatorVersion = '0.1.0';
