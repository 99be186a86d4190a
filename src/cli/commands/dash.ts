/**
 * `docket dash`: the dashboard, for whoever is on this machine.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as Dashboard from "../../dashboard/server.ts"
import { Docket } from "../../Docket.ts"
import * as Access from "../../http/Access.ts"
import { redact } from "../../store/redis/connection/Connection.ts"
import * as Flags from "../flags.ts"
import * as Modules from "../modules.ts"
import * as Output from "../output.ts"
import { portProblem } from "../servers.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const defaultPort = 4747

const flags = {
  port: Flags.port({
    name: "port",
    variable: "DOCKET_DASH_PORT",
    description: `Where to listen, on this machine alone (default ${defaultPort})`
  }),
  tasks: Flags.list({
    name: "tasks",
    variable: "DOCKET_TASKS",
    description:
      "A module of tasks, as for docket worker: for forms with their fields, schedules in words and their limits; nothing of it is run",
    metavar: "module"
  }),
  readOnly: Flags.toggle("read-only", "Let nobody change anything")
}

/** Serves the dashboard. It opens at once, also when the store cannot be reached: the page says so. */
export const dash = Command.make(
  "dash",
  flags,
  Effect.fnUntraced(
    function* ({ port = defaultPort, readOnly, tasks }) {
      yield* Store.refuseMemory
      const url = yield* Flags.StoreUrl
      const docket = yield* Docket
      const loaded = tasks.length === 0 ? undefined : (yield* Modules.load(tasks)).tasks
      // A request whose way here nobody knows may only look; so may all when nobody may change anything.
      const access: Access.Access = readOnly ? () => "read" : Access.fromLoopback
      const server = HttpRouter.serve(
        Dashboard.layer({
          dockets: [docket],
          tasks: loaded,
          access,
          place: redact(url).replace(/^\w+(\+\w+)?:\/\//, "")
        }),
        { disableLogger: true, disableListenLog: true }
      ).pipe(
        Layer.provide(
          NodeHttpServer.layer(createServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" })
        ),
        Layer.provide(Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)),
        Layer.provide(Layer.succeed(Docket, docket))
      )
      yield* Effect.mapError(Layer.build(server), ({ cause }) => portProblem(port, cause))
      yield* Output.lines([`http://127.0.0.1:${port}/${encodeURIComponent(docket.name)}`])
      yield* Output.talk(`The dashboard of docket ${Text.quote(docket.name)} is there; Ctrl-C ends it`)
      return yield* Effect.never
    },
    Effect.scoped,
    Effect.provide(Store.layer)
  )
).pipe(
  Command.withDescription(
    "Open the dashboard of a docket, for browsers on this machine: what needs attention, what runs, waits and failed and why, " +
      "and buttons to do something about it. It needs none of the app's code, and says so when the store cannot be reached."
  ),
  Command.withShortDescription("Look after the docket in a browser"),
  Command.withExamples([
    { command: "docket dash --docket shop", description: "Then open http://127.0.0.1:4747" },
    {
      command: "docket dash --tasks ./handlers.ts --port 8080",
      description: "With forms made from the tasks' contracts"
    },
    { command: "docket dash --read-only", description: "For a screen on the wall" }
  ])
)
