/**
 * What a task can be named.
 */

/** Whether a task can have this name. Stores tell by NULs where the names in a list end, and keep whole characters only. */
export const isTaskName = (name: string): boolean => name !== "" && !name.includes("\0") && name.isWellFormed()

/** Says what is wrong with a name that a task cannot have. */
export const taskNameRule = (name: string): string =>
  `A task's name needs at least one character, and neither NUL nor a lone surrogate (half of a character); it was ${JSON.stringify(name)}`
