/** What the server and the worker share: reports are made in the background, and mailed when they are ready. */
import { Schema } from "effect"
import { Retry, Task, TaskGroup } from "../../src/index.ts"

export class MailboxFull extends Schema.TaggedError<MailboxFull>()("MailboxFull", { to: Schema.String }) {}

/** Reads the orders of a month, and makes a report of them. A month has one report at a time. */
export const MakeReport = Task.make("makeReport", {
  payload: { month: Schema.String, to: Schema.String },
  success: Schema.Struct({ orders: Schema.Int, total: Schema.Int }),
  key: ({ month }) => `report-${month}`,
  logged: ["month"],
  timeout: "10 minutes"
})

/** Tells somebody that a report is ready; a full mailbox may be emptied. */
export const MailReport = Task.make("mailReport", {
  payload: { month: Schema.String, to: Schema.String, total: Schema.Int },
  error: MailboxFull,
  key: ({ month, to }) => `mail-${month}-${to}`,
  retry: Retry.exponential({ attempts: 3, minimum: "1 minute" })
})

export const tasks = TaskGroup.make(MakeReport, MailReport)
