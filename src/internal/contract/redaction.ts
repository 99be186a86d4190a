/**
 * How stored data says what of it is redacted. The store has to keep such a value as it is, so that a worker can use it; a
 * tool that shows what is stored, and has no contract, leaves it out.
 */
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Stored from "./stored.ts"

/** What to leave out of the data of a schema: all of it, or some fields of an object. */
export type Redaction = "all" | ReadonlyArray<string>

/** What to leave out of the data of a schema; nothing when nothing in it is redacted. */
export const redactionOf = (schema: Schema.Top): Redaction | undefined => {
  if (!holdsRedacted(schema.ast, new Set())) return undefined
  const ast = structOf(schema.ast)
  // Fields of an object that is encoded as something else may have other names there.
  if (!SchemaAST.isObjects(ast) || ast.encoding !== undefined || ast.indexSignatures.length > 0) return "all"
  return ast.propertySignatures.filter(({ type }) => holdsRedacted(type, new Set())).map(({ name }) => String(name))
}

/** What an instance of a class is encoded as, by itself: its fields. */
const structOf = (ast: SchemaAST.AST): SchemaAST.AST => {
  if (ast._tag !== "Declaration" || ast.encoding?.length !== 1) return ast
  const [fields] = ast.typeParameters
  return fields !== undefined && ast.encoding[0].to === fields ? fields : ast
}

const holdsRedacted = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  if (seen.has(ast)) return false
  seen.add(ast)
  const inside = (parts: ReadonlyArray<SchemaAST.AST>) => parts.some((part) => holdsRedacted(part, seen))
  switch (ast._tag) {
    case "Declaration":
      return isRedacted(ast) || inside(ast.typeParameters)
    case "Objects":
      return (
        inside(ast.propertySignatures.map(({ type }) => type)) ||
        inside(ast.indexSignatures.flatMap(({ parameter, type }) => [parameter, type]))
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

const isRedacted = ({ annotations }: SchemaAST.Declaration): boolean =>
  Predicate.hasProperty(annotations, "representation") &&
  Predicate.hasProperty(annotations.representation, "id") &&
  annotations.representation.id === "effect/schema/Redacted"

/** Stored text as JSON text that may be shown: without the marks, and without what these say is redacted. */
export const shown = (text: string): string => {
  if (!Stored.isEnvelope(text)) return text
  const stored = Stored.read(text)
  if (Exit.isFailure(stored)) return text
  const { data, marks } = stored.value
  const { redacted } = marks
  if (redacted === undefined) return JSON.stringify(data)
  if (redacted === "all" || !Predicate.isObject(data)) return JSON.stringify(hidden)
  return JSON.stringify(
    Object.fromEntries(Object.entries(data).map(([name, value]) => [name, redacted.includes(name) ? hidden : value]))
  )
}

/** What Effect shows of a redacted value. */
const hidden = String(Redacted.make(undefined))
