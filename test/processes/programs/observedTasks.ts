/** The tasks, with handlers that run under OpenTelemetry's SDK, for the command line. */
import { Layer } from "effect"
import { TaskModule } from "../../../src/index.ts"
import { observe } from "./observed.ts"
import { Handlers, tasks } from "./tasks.ts"

export default TaskModule.make(tasks, Handlers.pipe(Layer.provide(observe("worker"))))
