/** What is wrong with lines and gates: the same on every store that keeps them in ordered sets and hashes. */
import type { Hashes, Sets } from "../../src/store/admission/Keep.ts"
import type { Standing } from "../../src/store/admission/Standing.ts"

interface Found {
  readonly key: string
  readonly generation: number
  readonly state: string
  readonly standing: Standing
}

/** `overtaken` are the slots of runs whose keys were scheduled anew, by generation and key. */
export const admissionFaults = (
  {
    hashes,
    sets
  }: { readonly hashes: Pick<Hashes, "fields" | "get" | "size">; readonly sets: Pick<Sets, "at" | "score" | "size"> },
  executions: ReadonlyMap<string, Found>,
  overtaken: ReadonlyMap<string, ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const expect = (condition: boolean, fault: string) => {
    if (!condition) faults.push(fault)
  }
  let waiting = 0
  for (const { generation, key, standing, state } of executions.values()) {
    const { line, slots } = standing
    if (line !== undefined) waiting++
    expect(line === undefined || state === "scheduled", `${key} is ${state}, and waits in a line`)
    expect(line === undefined || sets.score(`line:${line}`, key) !== undefined, `${key} is not in its line`)
    expect(slots.length === 0 || state === "running", `${key} is ${state}, and has a slot`)
    for (const gate of slots) {
      expect(hashes.get(`slots:${gate}`, `${generation}:${key}`) !== undefined, `${key} has lost a slot`)
    }
  }
  let inLines = 0
  for (const line of hashes.fields("lines")) {
    const gate = hashes.get("lines", line) ?? ""
    const head = sets.at(`line:${line}`, 0)
    inLines += sets.size(`line:${line}`)
    expect(head !== undefined, `the line ${line} is kept for nobody`)
    const standsAt = gate === "" ? sets.score("gates", `l${line}`) : sets.score(`at:${gate}`, line)
    expect(standsAt === head?.score, `the line ${line} does not stand where its head is`)
    if (gate === "") continue
    const isKnown =
      sets.score("gates", `g${gate}`) === sets.at(`at:${gate}`, 0)?.score ||
      sets.score("opens", gate) !== undefined ||
      hashes.size(`slots:${gate}`) > 0
    expect(isKnown, `nothing will ever open the gate ${gate}, where some wait`)
  }
  expect(inLines === waiting, `${waiting} wait, and ${inLines} are in lines`)
  for (const gate of hashes.fields("used")) {
    for (const holder of hashes.fields(`slots:${gate}`)) {
      const run = executions.get(holder.slice(holder.indexOf(":") + 1))
      const isIts = run?.standing.slots.includes(gate) === true && holder === `${run.generation}:${run.key}`
      expect(isIts || overtaken.get(holder)?.includes(gate) === true, `${holder} has a slot that it does not know of`)
    }
  }
  return faults
}
