/**
 * Who may do what: roles, and how a request comes by one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * What a caller may do, each with all before it: `read` looks, `retry` runs again what failed, `operate` adds, replaces,
 * cancels, pauses and strikes, `admin` destroys: it discards what failed and clears what waits.
 *
 * @category models
 * @since 0.1.0
 */
export const Role = Schema.Literals(["read", "retry", "operate", "admin"])

/**
 * What a caller may do.
 *
 * @category models
 * @since 0.1.0
 */
export type Role = typeof Role.Type

/**
 * Whether a role may do what needs another one.
 *
 * @category guards
 * @since 0.1.0
 */
export const allows = (role: Role | undefined, needs: Role): boolean =>
  role !== undefined && Role.literals.indexOf(role) >= Role.literals.indexOf(needs)

/**
 * Who asks. Without a role it may do nothing.
 *
 * @category services
 * @since 0.1.0
 */
export class Caller extends Context.Service<
  Caller,
  {
    readonly role: Role | undefined
    /** As the app knows it; it is named in what is logged about a change. */
    readonly name: string | undefined
  }
>()("effect-docket/http/Caller") {}

/**
 * A request, as far as a role may depend on it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Visit {
  readonly method: string
  /** The path with the query, or the whole URL. */
  readonly url: string
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The address at the other end of the connection, where it is known. */
  readonly remoteAddress: string | undefined
}

type Answer = Role | Caller["Service"] | undefined

/**
 * Finds the role of a request, by whatever an app knows its users by. Without a role a request is refused.
 *
 * @category models
 * @since 0.1.0
 */
export type Access = (visit: Visit) => Answer | PromiseLike<Answer> | Effect.Effect<Answer>

/**
 * What holds where an app says nothing: whoever asks from this very machine may do everything, anybody else may look.
 *
 * **Details**
 *
 * From this machine means: the connection is from a loopback address, the URL names a loopback host, and no proxy has passed
 * the request on.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromLoopback: Access = ({ headers, remoteAddress }) =>
  isLoopback(remoteAddress) && isLocalHost(headers["host"]) && !proxyHeaders.some((name) => name in headers)
    ? "admin"
    : "read"

const proxyHeaders = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/i.test(address)

// A page elsewhere whose name was made to lead here names that host.
const isLocalHost = (host: string | undefined): boolean =>
  host !== undefined && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i.test(host)

/**
 * Who makes a request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const callerOf = (access: Access, visit: Visit): Effect.Effect<Caller["Service"]> =>
  Effect.map(
    Effect.suspend(() => {
      const answer = access(visit)
      if (Effect.isEffect(answer)) return answer
      return Predicate.isPromiseLike(answer) ? Effect.promise(() => answer) : Effect.succeed(answer)
    }),
    (answer) => (typeof answer === "object" ? answer : { role: answer, name: undefined })
  )

/**
 * Whether a browser sent a request on behalf of a page of another origin. Such a request changes nothing.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCrossSite = ({ headers }: Pick<Visit, "headers">): boolean => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined) return site !== "same-origin" && site !== "none"
  const { host, origin } = headers
  // What is no browser sends neither.
  return origin !== undefined && origin.replace(/^https?:\/\//, "") !== host
}
