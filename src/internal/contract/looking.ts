/**
 * Looking at what user code gave, which may throw when it is looked at: a getter, a proxy, a class with a test of its own.
 */
import * as Result from "effect/Result"

/** What a look gives, or else this. */
export const lookOr = <A, B>(look: () => A, otherwise: B): A | B => Result.getOrElse(Result.try(look), () => otherwise)
