/**
 * schemas/boot-report.schema.json and the type `BootReport` have the same fields, of the same kinds; and what the library exports is
 * documented.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { it } from 'node:test';
import ts from 'typescript';
import { readText, root } from '../files.js';

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly minItems?: number;
}

/** What both describe: the alternatives of a value, each as text, sorted. Objects list their fields. */
type Shape = readonly string[];

const schema = JSON.parse(readText('schemas/boot-report.schema.json')) as Schema;

function union(parts: readonly Shape[]): Shape {
  return [...new Set(parts.flat())].sort();
}

function object(fields: readonly (readonly [string, boolean, Shape])[]): string {
  const texts = fields.map(
    ([name, isRequired, shape]) => `${name}${isRequired ? '' : '?'}: ${shape.join(' | ')}`,
  );
  return `{ ${texts.sort().join('; ')} }`;
}

/** `object` keywords may stand beside `oneOf`, which then lists the alternatives. */
function schemaShape(given: Schema): Shape {
  const { $ref, enum: values, anyOf, oneOf, type } = given;
  if ($ref !== undefined) return schemaShape(schema.$defs?.[$ref.replace('#/$defs/', '')] ?? {});
  if ('const' in given) return [JSON.stringify(given.const)];
  if (values !== undefined) return union(values.map((value) => [JSON.stringify(value)]));
  const choices = anyOf ?? oneOf;
  if (choices !== undefined) return union(choices.map(schemaShape));
  const types = typeof type === 'string' ? [type] : (type ?? ['object']);
  return union(types.map((one) => [kindShape(one, given)]));
}

function kindShape(type: string, given: Schema): string {
  const { properties, required = [], additionalProperties, items, minItems = 0 } = given;
  if (type === 'integer') return 'number';
  if (type === 'array')
    return `${minItems > 0 ? 'some' : 'list'} of (${schemaShape(items ?? {}).join(' | ')})`;
  if (type !== 'object') return type;
  if (properties === undefined) {
    assert.ok(typeof additionalProperties === 'object');
    return `record of (${schemaShape(additionalProperties).join(' | ')})`;
  }
  assert.equal(additionalProperties, false, 'a report has no fields but those that are listed');
  return object(
    Object.entries(properties).map(
      ([name, one]) => [name, required.includes(name), schemaShape(one)] as const,
    ),
  );
}

const file = path.join(root, 'src/boot/report.ts');
const library = path.join(root, 'src/library/index.ts');
const program = ts.createProgram([file, library], {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  exactOptionalPropertyTypes: true,
  types: [],
});
const checker = program.getTypeChecker();

/** An optional field may also be undefined, which JSON omits. */
function isGiven({ flags }: ts.Type): boolean {
  return (flags & ts.TypeFlags.Undefined) === 0;
}

/** A branded number is a number; `true | false` is a boolean. */
function typeShape(type: ts.Type): Shape {
  if (type.isUnion()) return union(type.types.filter(isGiven).map(typeShape));
  if (type.isStringLiteral() || type.isNumberLiteral()) return [JSON.stringify(type.value)];
  if ((type.flags & ts.TypeFlags.Null) !== 0) return ['null'];
  if ((type.flags & ts.TypeFlags.BooleanLike) !== 0) return ['boolean'];
  if ((type.flags & ts.TypeFlags.StringLike) !== 0) return ['string'];
  const isBranded =
    type.isIntersection() && type.types.some((part) => (part.flags & ts.TypeFlags.NumberLike) !== 0);
  if (isBranded || (type.flags & ts.TypeFlags.NumberLike) !== 0) return ['number'];
  return [compoundShape(type)];
}

function compoundShape(type: ts.Type): string {
  if (checker.isTupleType(type)) {
    const [first] = checker.getTypeArguments(type as ts.TypeReference);
    assert.ok(first !== undefined);
    return `some of (${typeShape(first).join(' | ')})`;
  }
  const item = checker.isArrayType(type) ? type.getNumberIndexType() : undefined;
  if (item !== undefined) return `list of (${typeShape(item).join(' | ')})`;
  const value = type.getStringIndexType();
  if (value !== undefined) return `record of (${typeShape(value).join(' | ')})`;
  return object(
    checker.getPropertiesOfType(type).map((property) => {
      const isRequired = (property.flags & ts.SymbolFlags.Optional) === 0;
      return [property.name, isRequired, typeShape(checker.getTypeOfSymbol(property))] as const;
    }),
  );
}

it('the schema and the type BootReport have the same fields', () => {
  const source = program.getSourceFile(file);
  assert.ok(source !== undefined);
  const declared = source.statements.find(
    (statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === 'BootReport',
  );
  assert.ok(declared !== undefined && ts.isInterfaceDeclaration(declared));
  const [ofType] = typeShape(checker.getTypeAtLocation(declared));
  const [ofSchema] = schemaShape(schema);
  assert.ok(ofSchema?.includes('schemaVersion: 2'), 'the search is broken');
  // In pieces, so that a failure shows the field.
  assert.deepEqual(ofType?.split('; '), ofSchema?.split('; '));
});

it('everything that the library exports has a docstring', () => {
  const source = program.getSourceFile(library);
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
  assert.ok(module !== undefined);
  const exported = checker.getExportsOfModule(module).map((symbol) => {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    return isAlias ? checker.getAliasedSymbol(symbol) : symbol;
  });
  assert.ok(exported.length > 30, 'the search is broken');
  const bare = exported.filter((symbol) => symbol.getDocumentationComment(checker).length === 0);
  assert.deepEqual(
    bare.map(({ name }) => name),
    [],
  );
});
