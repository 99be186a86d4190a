/** The suite on files, each of which a test has to itself. */
import { suite } from "./conformance.ts"
import { harness } from "./sqliteHarness.ts"

suite("sqlite", harness, { programs: 60 })
