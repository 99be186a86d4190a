/**
 * What can be kept as JSON, so that who reads it gets what was given.
 */
import * as Predicate from "effect/Predicate"
import * as SchemaAST from "effect/SchemaAST"

/** Whether a schema lets everything pass, in some part of it, as `Schema.Any` does: only the data can then tell. */
export const isOpen = (ast: SchemaAST.AST): boolean => holdsAny(SchemaAST.toEncoded(ast), new Set())

const holdsAny = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  if (seen.has(ast)) return false
  seen.add(ast)
  const inside = (parts: ReadonlyArray<SchemaAST.AST>) => parts.some((part) => holdsAny(part, seen))
  switch (ast._tag) {
    case "Any":
      return true
    case "Objects":
      return (
        inside(ast.propertySignatures.map(({ type }) => type)) || inside(ast.indexSignatures.map(({ type }) => type))
      )
    case "Arrays":
      return inside(ast.elements) || inside(ast.rest)
    case "Union":
      return inside(ast.types)
    case "Suspend":
      return inside([ast.thunk()])
    default:
      return false
  }
}

/** What keeps a value from being JSON data; nothing when it is. A field that is `undefined` is left out, as JSON does. */
export const problemOf = (value: unknown, path: ReadonlyArray<object> = []): string | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : `${value} is no number in JSON`
    case "object":
      break
    default:
      return `JSON has no ${typeof value}`
  }
  if (value === null) return undefined
  if (path.includes(value)) return "it contains itself"
  if (Array.isArray(value)) return first(value, (item: unknown) => problemOf(item, [...path, value]))
  const prototype: unknown = Object.getPrototypeOf(value)
  // A plain object of another realm is one as well.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return `an instance of ${nameOf(prototype)} would not come back as one: give the schema that it has`
  }
  return first(Object.values(value), (item: unknown) =>
    item === undefined ? undefined : problemOf(item, [...path, value])
  )
}

const first = (items: ReadonlyArray<unknown>, problem: (item: unknown) => string | undefined): string | undefined => {
  for (const item of items) {
    const found = problem(item)
    if (found !== undefined) return found
  }
  return undefined
}

const nameOf = (prototype: unknown): string =>
  Predicate.hasProperty(prototype, "constructor") && Predicate.isFunction(prototype.constructor)
    ? prototype.constructor.name
    : "a class"
