// Loaded into every test process by test.js. A test that ends its process hides those that come after it, so
// ending it is made a failure; what a test starts gets the environment without this file.
process.env.NODE_OPTIONS = process.env.DOMULATOR_NODE_OPTIONS ?? '';
if (process.env.NODE_OPTIONS === '') delete process.env.NODE_OPTIONS;
delete process.env.DOMULATOR_NODE_OPTIONS;

const realExit = process.exit.bind(process);
process.exit = (code) => {
  console.error(`a test called process.exit(${code ?? ''})`);
  return realExit(code ? code : 70);
};
