// Writes objects.json: the objects of Stripe's API that the sandbox sends, as stripe-node's types describe them.
// README.md beside this file says how to run it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const ROOTS = {
  'checkout.session': ['Checkout/Sessions', 'Session'],
  payment_intent: ['PaymentIntents', 'PaymentIntent'],
  payment_method: ['PaymentMethods', 'PaymentMethod'],
  charge: ['Charges', 'Charge'],
  refund: ['Refunds', 'Refund'],
  dispute: ['Disputes', 'Dispute'],
  balance_transaction: ['BalanceTransactions', 'BalanceTransaction'],
  'radar.early_fraud_warning': ['Radar/EarlyFraudWarnings', 'EarlyFraudWarning'],
  review: ['Reviews', 'Review'],
  item: ['LineItems', 'LineItem'],
  price: ['Prices', 'Price'],
};
const METHODS = ['acss_debit', 'au_becs_debit', 'bacs_debit', 'card', 'konbini', 'sepa_debit', 'us_bank_account'];
// Of types with a field for each payment method, the fields of other methods than these are left out.
const BY_METHOD = /(PaymentMethodDetails|PaymentMethodOptions|DestinationDetails|PaymentMethod)$/;

const [stripe] = process.argv.slice(2);
const resources = join(stripe, 'esm/resources');
const files = Object.values(ROOTS).map(([file]) => join(resources, `${file}.d.ts`));
const program = ts.createProgram(files, { strict: true, module: ts.ModuleKind.NodeNext, skipLibCheck: true });
const checker = program.getTypeChecker();

const kinds = new Map(); // Stripe's `object` of each resource's type
const definitions = {};

const declared = (type) => (type.symbol ?? type.aliasSymbol)?.declarations?.[0];
const nameOf = (type) => checker.getFullyQualifiedName(type.symbol).replace(/^.*"\./, '');
const kindOf = (type) => {
  const object = type.getProperty?.('object');
  const kind = object && checker.getTypeOfSymbol(object);
  return kind?.isStringLiteral() ? kind.value : undefined;
};

function describe(type) {
  if (type.flags & ts.TypeFlags.Boolean) return ['boolean'];
  if (type.isUnion()) return [...new Set(type.types.flatMap(describe))];
  if (type.isStringLiteral()) return [`=${type.value}`];
  if (type.isNumberLiteral()) return ['number'];
  if (type.flags & ts.TypeFlags.BooleanLiteral) return ['boolean'];
  if (type.flags & ts.TypeFlags.String) return ['string'];
  if (type.flags & ts.TypeFlags.Number) return ['number'];
  if (type.flags & ts.TypeFlags.Null) return ['null'];
  if (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)) return [];
  if (type.isIntersection()) {
    // Decimal is text on the wire; the other is OtherString, which opens an enum to values yet to come.
    return type.types.some((each) => each.symbol?.name === 'DecimalImpl') ? ['string'] : [];
  }
  const name = type.symbol?.name;
  if (name === 'Array') return [{ list: describe(checker.getTypeArguments(type)[0]) }];
  if (name === 'Metadata' || checker.getIndexInfoOfType(type, ts.IndexKind.String)) return ['map'];
  if (name === 'ApiList') return [{ page: describe(checker.getTypeArguments(type)[0]) }];
  if (!type.symbol) throw new Error(`What is ${checker.typeToString(type)} (${type.flags})?`);
  return [describeObject(type)];
}

function describeObject(type) {
  const kind = kindOf(type);
  if (kind && !ROOTS[kind] && type.getProperty('id')) return `&${kind}`; // another resource: only named
  const name = kind && type.getProperty('id') ? kind : nameOf(type);
  if (!(name in definitions)) {
    definitions[name] = {};
    for (const field of checker.getPropertiesOfType(type)) {
      const optional = Boolean(field.flags & ts.SymbolFlags.Optional);
      const types = describe(checker.getTypeOfSymbolAtLocation(field, declared(type)));
      const ofMethod = BY_METHOD.test(nameOf(type)) && optional && types.some((each) => each.startsWith?.('#'));
      if (!types.length || (ofMethod && !METHODS.includes(field.name))) continue;
      definitions[name][field.name + (optional ? '?' : '')] = types;
    }
  }
  return `#${name}`;
}

for (const [file, name] of Object.values(ROOTS)) {
  const source = program.getSourceFile(join(resources, `${file}.d.ts`));
  const find = (node) =>
    ts.isInterfaceDeclaration(node) && node.name.text === name ? node : ts.forEachChild(node, find);
  describeObject(checker.getTypeAtLocation(find(source)));
}

// What only a payment method left out led to.
const used = new Set();
const visit = (types) => {
  for (const each of types) {
    if (each.list ?? each.page) visit(each.list ?? each.page);
    else if (each[0] === '#' && !used.has(each)) {
      used.add(each);
      Object.values(definitions[each.slice(1)]).forEach(visit);
    }
  }
};
visit(Object.keys(ROOTS).map((kind) => `#${kind}`));

const { version } = JSON.parse(readFileSync(join(stripe, 'package.json'), 'utf8'));
const [, apiVersion] = /'(\d{4}-\d\d-\d\d\.\w+)'/.exec(readFileSync(join(stripe, 'esm/apiVersion.js'), 'utf8'));
const openapi = readFileSync(join(stripe, 'OPENAPI_VERSION'), 'utf8').trim();
const sorted = Object.keys(definitions).filter((name) => used.has(`#${name}`)).sort();
const lines = sorted.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(definitions[name])}`);
const head = JSON.stringify({ source: `npm stripe ${version}`, openapi, api_version: apiVersion });
writeFileSync(new URL('objects.json', import.meta.url), `${head.slice(0, -1)},\n"objects": {\n${lines.join(',\n')}\n}}\n`);
