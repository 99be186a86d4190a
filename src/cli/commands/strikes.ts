/**
 * `docket strike`, `restore` and `strikes`: what keeps executions from running, without a deploy.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { Docket } from "../../Docket.ts"
import { factsOf } from "../../internal/contract/facts.ts"
import { failWith } from "../../internal/docket/docketError.ts"
import { parsePayload } from "../../internal/docket/knownStrikes.ts"
import { judge, Operator, type Strike } from "../../Strike.ts"
import { type Options, toRestore, toStrike } from "../../StrikeList.ts"
import { UsageError } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Modules from "../modules.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import { doubtsOf } from "../strikeDoubts.ts"
import * as Text from "../text.ts"

const terms = Argument.String("TASK [FIELD [OPERATOR] VALUE]").pipe(
  Argument.withDescription(
    "The task, or * for any; the field of its payload (a.b is a field of a field), or * for any; one of == (the " +
      "default), !=, >, >=, <, <=, between; and a value: a string, int:42, float:3.14, bool:true or json:[1,5]"
  ),
  Argument.atLeast(1)
)

/** Puts a strike in force. */
export const strike = Command.make(
  "strike",
  {
    terms,
    hold: Flags.toggle("hold", "Let matching executions wait until the strike is restored, rather than cancel them"),
    dryRun: Flags.toggle("dry-run", "Only say what the strike would match"),
    tasks: Flags.list({
      name: "tasks",
      description: "A module that defines tasks, against which the strike is checked; may be given several times",
      metavar: "module"
    })
  },
  Effect.fnUntraced(function* ({ dryRun, hold, tasks, terms }) {
    const options = yield* read(terms)
    const loaded = tasks.length === 0 ? [] : Array.from((yield* Modules.load(tasks)).tasks.tasks.values())
    const looked = yield* act((docket) =>
      Effect.gen(function* () {
        const facts = new Map(yield* failWith(docket.store.facts("all")))
        for (const task of loaded) facts.set(task.name, factsOf(task))
        const strike = yield* dryRun ? toStrike({ ...options, hold }) : docket.strike({ ...options, hold })
        const { waiting } = yield* failWith(docket.store.snapshot(mostLookedAt))
        const matching = waiting.filter(({ payload, task }) => {
          const verdict = judge([strike], task, parsePayload(payload))
          return verdict.strike !== undefined
        })
        return { strike, doubts: doubtsOf(options, facts), matching: matching.length, waiting: waiting.length }
      })
    )
    yield* Output.lines([`${dryRun ? "Not striking" : "Striking"} ${describe(looked.strike)}`])
    for (const doubt of looked.doubts) yield* Output.talk(doubt)
    const first = looked.waiting >= mostLookedAt ? `the first ${mostLookedAt} that wait` : `${looked.waiting} that wait`
    yield* Output.talk(`It matches ${looked.matching} of ${first}`)
  })
).pipe(
  Command.withDescription(
    "Keep executions of a task, or with a value in a field of their payload, from being scheduled and from running, in " +
      "every process and until it is restored. Those that are scheduled already are cancelled when it is their turn, " +
      "or wait with --hold. What runs goes on."
  ),
  Command.withShortDescription("Keep executions from running"),
  Command.withExamples([
    { command: "docket strike sendWelcome", description: "All executions of a task" },
    { command: "docket strike sendWelcome customerId int:13 --hold", description: "Those of one customer; they wait" },
    { command: "docket strike '*' region == eu-west-1", description: "Those of all tasks that have this field" },
    { command: "docket strike import size between json:[1000,2000]", description: "Both ends are included" },
    {
      command: "docket strike sendWelcome customerId int:13 --dry-run",
      description: "Only how many wait that it matches"
    }
  ])
)

/** Takes a strike out of force. */
export const restore = Command.make(
  "restore",
  { terms },
  Effect.fnUntraced(function* ({ terms }) {
    const options = yield* read(terms)
    const wasInForce = yield* act((docket) =>
      Effect.gen(function* () {
        const meant = new Set((yield* toRestore(options)).map(({ id }) => id))
        const before = yield* docket.strikes
        yield* docket.restore(options)
        return before.some(({ id }) => meant.has(id))
      })
    )
    yield* Output.lines([`Restoring ${describe(options)}`])
    if (!wasInForce) yield* Output.talk("That strike was not in force, so nothing has changed: see docket strikes")
  })
).pipe(
  Command.withDescription(
    "Take out of force the strike with the same task, field, operator and value. What it held goes on; what it cancelled " +
      "stays cancelled. A strike that is not in force is left at that."
  ),
  Command.withShortDescription("Take a strike back"),
  Command.withExamples([
    { command: "docket restore sendWelcome" },
    { command: "docket restore sendWelcome customerId int:13" }
  ])
)

/** Lists the strikes in force. */
export const strikes = Command.make(
  "strikes",
  { json: Flags.json },
  Effect.fnUntraced(function* ({ json }) {
    const { name, strikes } = yield* Docket
    const found = yield* strikes
    if (json) return yield* Output.json(found.map((strike) => ({ ...strike })))
    if (found.length === 0) return yield* Output.talk(`No strike is in force in docket ${Text.quote(name)}`)
    yield* Output.table(
      [
        { title: "Task", minimum: 8 },
        { title: "Field", minimum: 8 },
        { title: "Operator" },
        { title: "Value", minimum: 8 },
        { title: "Matching executions" }
      ],
      found.map(({ field, hold, operator, task, value }) => [
        taskText(task),
        field === undefined ? "" : Text.safe(field),
        field === undefined ? "" : operator,
        field === undefined ? "" : valueText(value),
        hold ? "wait" : "are cancelled"
      ])
    )
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("List the strikes in force. What is paused is held by a strike, and is listed as well."),
  Command.withShortDescription("List the strikes"),
  Command.withExamples([{ command: "docket strikes" }, { command: "docket strikes --json" }])
)

/** How many of those that wait are looked at. */
const mostLookedAt = 1000

const act = <A, E>(f: (docket: Docket["Service"]) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(Docket, f), Store.layerShared)

const isOperator = Schema.is(Operator)

const operators = Operator.literals.join(", ")

const read = Effect.fnUntraced(function* (terms: ReadonlyArray<string>) {
  const [task = "", field = ""] = terms.slice(0, 2).map((name) => (name === "*" ? "" : name))
  const rest = terms.slice(2)
  if (task === "" && field === "") {
    return yield* new UsageError({
      message: "A strike needs a task or a field, and * stands for any: to hold everything, use docket pause"
    })
  }
  const [operator, ...values] = isOperator(rest[0]) ? [rest[0], ...rest.slice(1)] : (["==", ...rest] as const)
  if (field === "" && rest.length > 0) {
    return yield* new UsageError({ message: "A strike with a value needs the field that is compared with it" })
  }
  if (field !== "" && rest.length === 2 && !isOperator(rest[0])) {
    return yield* new UsageError({
      message: `There is no operator ${Text.quote(rest[0] ?? "")}, only ${operators}; put what has spaces in quotes`
    })
  }
  if (field !== "" && values.length !== 1) {
    const problem = values.length === 0 ? "needs a value" : "has more than one value; put what has spaces in quotes"
    return yield* new UsageError({ message: `The strike on field ${Text.quote(field)} ${problem}` })
  }
  const value = values[0] === undefined ? undefined : yield* readValue(values[0])
  if (operator === "between" && !(Array.isArray(value) && value.length === 2)) {
    return yield* new UsageError({ message: "between needs a pair as its value, as in json:[1,5]" })
  }
  return {
    task: task === "" ? undefined : task,
    ...(field === "" ? {} : { field, operator, value })
  } satisfies Options
})

const parseJson = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.Json))

/** A string, unless a prefix says otherwise. */
const readValue = (text: string): Effect.Effect<Schema.Json, UsageError> => {
  const [, type, rest = ""] = /^(int|float|bool|json):(.*)$/s.exec(text) ?? []
  const refuse = (expected: string) =>
    Effect.fail(new UsageError({ message: `${type}: has to be followed by ${expected}; it was ${Text.quote(rest)}` }))
  switch (type) {
    case "int":
      return /^[+-]?\d{1,15}$/.test(rest) ? Effect.succeed(Number(rest)) : refuse("a whole number")
    case "float":
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(rest) && Number.isFinite(Number(rest))
        ? Effect.succeed(Number(rest))
        : refuse("a number")
    case "bool":
      return rest === "true" || rest === "false" ? Effect.succeed(rest === "true") : refuse("true or false")
    case "json": {
      const parsed = parseJson(rest)
      return Exit.isSuccess(parsed) ? Effect.succeed(parsed.value) : refuse("JSON")
    }
    default:
      return Effect.succeed(text)
  }
}

const taskText = (task: string | undefined): string => (task === undefined ? "(all tasks)" : Text.safe(task))

const valueText = (value: Schema.Json): string =>
  Predicate.isString(value) ? Text.quote(value) : JSON.stringify(value)

const describe = ({ field, operator, task, value }: Strike | Options): string =>
  [taskText(task), ...(field === undefined ? [] : [Text.safe(field), operator ?? "==", valueText(value ?? null)])].join(
    " "
  )
