// Loaded into every test process by test.js. A test that ends its process hides the tests after it, so this file turns
// that into a failure. It restores the environment for programs that a test starts.
process.env.NODE_OPTIONS = process.env.DOMULATOR_NODE_OPTIONS ?? '';
if (process.env.NODE_OPTIONS === '') delete process.env.NODE_OPTIONS;
delete process.env.DOMULATOR_NODE_OPTIONS;

const realExit = process.exit.bind(process);
process.exit = (code) => {
  console.error(`a test called process.exit(${code ?? ''})`);
  return realExit(code ? code : 70);
};
