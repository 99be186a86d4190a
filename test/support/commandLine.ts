/** The options of the programs that measure and harm: reads them, or says what there is to choose from. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util"

/** Reads the options. For `--help` it prints the usage instead, and for what it does not know the problem as well. */
export const optionsOf = <const T extends ParseArgsOptionsConfig>(usage: string, options: T) => {
  const { help } = parseArgs({ options: { help: { type: "boolean", short: "h" } }, strict: false }).values
  if (help === true) {
    console.log(usage)
    process.exit(0)
  }
  try {
    return parseArgs<{ options: T }>({ options }).values
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    return process.exit(2)
  }
}
