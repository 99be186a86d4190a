/**
 * What a task can be named.
 */

/**
 * Whether a task can have this name. Stores tell by U+0000 where the names in a list end, and keep whole characters only;
 * U+0001 stands before the version of a payload.
 */
export const isTaskName = (name: unknown): name is string =>
  // eslint-disable-next-line no-control-regex
  typeof name === "string" && name !== "" && !/[\u0000\u0001]/.test(name) && name.isWellFormed()

/** Says what is wrong with a name that a task cannot have. */
export const taskNameRule = (name: unknown): string =>
  "A task's name needs at least one character, and neither U+0000, U+0001 nor a lone surrogate (half of a character); it " +
  `was ${typeof name === "string" ? JSON.stringify(name) : typeof name}`
