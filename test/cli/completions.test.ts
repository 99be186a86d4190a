import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import * as docket from "./docket.ts"

const isInstalled = (shell: string) =>
  (process.env["PATH"] ?? "").split(Path.delimiter).some((directory) => existsSync(Path.join(directory, shell)))

const runIn = (shell: string, script: string) =>
  ChildProcess.execFileSync(shell, ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

describe("docket --completions", () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    it.live(`prints a script for ${shell} that knows commands and flags, and that ${shell} reads (CLI-01)`, () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* docket.run(["--completions", shell])
        assert.deepStrictEqual([code, stderr], [0, ""])
        for (const word of ["worker", "snapshot", "for-task", "older-than"]) assert.include(stdout, word)
        if (isInstalled(shell)) runIn(shell, `${shell === "fish" ? "source -" : "true"} <<'END'\n${stdout}\nEND\n`)
      })
    )
  }

  it.live("completes commands, subcommands and flags in bash (CLI-01)", () =>
    Effect.gen(function* () {
      const { stdout } = yield* docket.run(["--completions", "bash"])
      const complete = (line: string) =>
        runIn(
          "bash",
          `${stdout}
           COMP_LINE=${JSON.stringify(line)}; COMP_POINT=\${#COMP_LINE}
           read -ra COMP_WORDS <<< "$COMP_LINE"; [[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
           COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
           "$(complete -p docket | sed 's/.*-F \\([^ ]*\\).*/\\1/')" docket
           printf '%s\\n' "\${COMPREPLY[@]}"`
        ).split("\n")
      assert.include(complete("docket sn"), "snapshot")
      assert.include(complete("docket workers "), "for-task")
      assert.include(complete("docket snapshot --st"), "--stats")
    })
  )
})
