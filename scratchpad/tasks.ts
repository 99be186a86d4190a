/** The contract that producer.ts and handlers.ts share. No handler code comes along with it. */
import { Schema } from "effect"
import { Task, TaskGroup } from "../src/index.ts"

export class EmailBounced extends Schema.TaggedError<EmailBounced>()("EmailBounced", { address: Schema.String }) {
  override get message() {
    return `${this.address} does not take mail`
  }
}

export const SendWelcome = Task.make("sendWelcome", {
  payload: { customerId: Schema.Int, name: Schema.String },
  success: Schema.String,
  error: EmailBounced,
  key: ({ customerId }) => `welcome-${customerId}`
})

export const tasks = TaskGroup.make(SendWelcome)
