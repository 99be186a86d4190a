/**
 * Every way in which the HTTP API says no, as problem details (RFC 9457). The `type` tells them apart.
 */
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as Schema from "effect/Schema"
import { Role } from "./Access.ts"

/**
 * The request does not fit: a part of it does not have the form that the operation asks for, or makes no sense.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: "urn:effect-docket:invalid-request", status: 400, title: "The request does not fit" },
  {
    /** Where each fault is, from the part of the request on (`payload`, `query`, `params`, `headers`), and what it is. */
    errors: Schema.optionalKey(Schema.Array(HttpApiError.ProblemIssue))
  }
) {}

/**
 * Whoever asks may not do this.
 *
 * @category errors
 * @since 0.1.0
 */
export class Forbidden extends HttpApiError.Problem<Forbidden>()(
  "Forbidden",
  { type: "urn:effect-docket:forbidden", status: 403, title: "Not allowed" },
  {
    /** The least role that may. */
    needs: Role,
    /** The caller's role, if it has one. */
    role: Schema.optionalKey(Role)
  }
) {}

/**
 * There is no such docket, task or execution.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends HttpApiError.Problem<NotFound>()("NotFound", {
  type: "urn:effect-docket:not-found",
  status: 404,
  title: "Not found"
}) {}

/**
 * What was to be done to many executions would meet another number of them than was agreed to.
 *
 * @category errors
 * @since 0.1.0
 */
export class CountChanged extends HttpApiError.Problem<CountChanged>()(
  "CountChanged",
  { type: "urn:effect-docket:count-changed", status: 409, title: "The number has changed" },
  {
    /** How many there are now. */
    count: Schema.Int
  }
) {}

/**
 * The execution was cancelled, so it has no result.
 *
 * @category errors
 * @since 0.1.0
 */
export class Cancelled extends HttpApiError.Problem<Cancelled>()("Cancelled", {
  type: "urn:effect-docket:cancelled",
  status: 409,
  title: "The execution was cancelled"
}) {}

/**
 * There is no result to read: none was kept, or it has expired.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotKept extends HttpApiError.Problem<NotKept>()("NotKept", {
  type: "urn:effect-docket:result-not-kept",
  status: 410,
  title: "There is no result any more"
}) {}

/**
 * The execution failed in a way that its contract does not name.
 *
 * @category errors
 * @since 0.1.0
 */
export class Failed extends HttpApiError.Problem<Failed>()(
  "Failed",
  { type: "urn:effect-docket:failed", status: 422, title: "The execution failed" },
  {
    /** The error as text: its name, a colon, its message. */
    error: Schema.String
  }
) {}

/**
 * The task's own error, which its contract names, where the contract is not at hand.
 *
 * @category errors
 * @since 0.1.0
 */
export class TaskError extends HttpApiError.Problem<TaskError>()(
  "TaskError",
  { type: "urn:effect-docket:task-error", status: 422, title: "The task failed with an error of its own" },
  {
    /** The error as the task's contract encodes it. */
    error: Schema.Json
  }
) {}

/**
 * The server is as busy as it may be: too many streams or waits are open.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooBusy extends HttpApiError.Problem<TooBusy>()("TooBusy", {
  type: "urn:effect-docket:too-busy",
  status: 503,
  title: "Too many streams and waits are open"
}) {}

/**
 * The docket's store cannot be reached, or refused. What was asked for may have been done.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable extends HttpApiError.Problem<Unavailable>()("Unavailable", {
  type: "urn:effect-docket:store-unavailable",
  status: 503,
  title: "The docket's store cannot be reached"
}) {}
