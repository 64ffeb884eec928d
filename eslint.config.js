import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Modules that run in a browser as they are, and whose results depend on their inputs alone: no host, no clock, no random numbers. */
const coreModules = [
  'src/{base,abi,identity,isa,engine,devices,firmware,hypervisor,audit,explore}/**/*.ts',
  'src/{machine,boot,introspect,builtin_guest,guest_init}/**/*.ts',
];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'docs/api/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: ['tsconfig.json', 'src/*/tsconfig.json'] } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-bitwise': 'off',
      complexity: ['error', 15],
      'max-lines': ['error', { max: 450, skipComments: true, skipBlankLines: true }],
      'max-lines-per-function': ['error', { max: 60, skipComments: true, skipBlankLines: true }],
    },
  },
  {
    files: coreModules,
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'Date', message: 'Time comes from the domain state.' },
        { name: 'console', message: 'Core modules print nothing.' },
        { name: 'process', message: 'Core modules do not use the host.' },
        { name: 'setTimeout', message: 'Core modules have no timers.' },
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Random numbers come from the seed.' },
      ],
      'no-restricted-imports': ['error', { patterns: ['node:*'] }],
    },
  },
  {
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'off', // node:test returns promises that the runner awaits
      '@typescript-eslint/no-non-null-assertion': 'off',
      'max-lines-per-function': 'off',
    },
  },
  {
    files: ['scripts/**/*.js', 'bench/**/*.js', '*.js'],
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', setImmediate: 'readonly' },
    },
  },
);
