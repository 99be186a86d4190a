import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as docket from "./docket.ts"

type Complete = (line: string, directory: string) => string

const runIn = (directory: string, ...[file = "", ...args]: ReadonlyArray<string>) =>
  ChildProcess.execFileSync(file, args, {
    cwd: directory,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TERM: "xterm" },
    timeout: 20_000
  })

/** How each shell tells what it completes a line with; the script and a command `docket` are in the directory. */
const shells: Readonly<Record<string, Complete>> = {
  bash: (line, directory) =>
    runIn(
      directory,
      "bash",
      "-c",
      `source ./_docket
       COMP_LINE=${JSON.stringify(line)}; COMP_POINT=\${#COMP_LINE}
       read -ra COMP_WORDS <<< "$COMP_LINE"; [[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
       COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
       "$(complete -p docket | sed 's/.*-F \\([^ ]*\\).*/\\1/')" docket "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
       printf '%s\\n' "\${COMPREPLY[@]}"`
    ),
  // An interactive one in a terminal of its own: it shows a list, and then the prompt again.
  zsh: (line, directory) =>
    runIn(
      directory,
      "zsh",
      "-f",
      "-c",
      `zmodload zsh/zpty
       zpty z zsh -f -i
       zpty -w z "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; bindkey '^I' list-choices; echo REA''DY"
       zpty -r z said '*READY*'
       zpty -w -n z ${JSON.stringify(line)}$'\\t'
       zpty -r z said $'*\\n*\\e\\\\[A*'
       print -r -- "$said"
       zpty -d z`
    ),
  fish: (line, directory) => runIn(directory, "fish", "-c", `source ./_docket; complete -C ${JSON.stringify(line)}`)
}

const isInstalled = (shell: string) =>
  (process.env["PATH"] ?? "").split(Path.delimiter).some((directory) => Fs.existsSync(Path.join(directory, shell)))

const completed: ReadonlyArray<readonly [line: string, candidates: ReadonlyArray<string>]> = [
  ["docket sn", ["snapshot"]],
  ["docket workers ", ["ls", "for-task"]],
  ["docket snapshot --st", ["--stats"]],
  ["docket failed retry --ol", ["--older-than"]],
  ["docket --doc", ["--docket"]],
  ["docket workers ls --ur", ["--url"]],
  ["docket ls --state c", ["completed", "cancelled"]],
  ["docket worker --logging-format ", ["plain", "json", "rich"]],
  ["docket worker --tasks ./h", ["handlers.ts"]]
]

describe("docket --completions", () => {
  for (const [shell, complete] of Object.entries(shells)) {
    it.live(`completes commands, flags, their values and files in ${shell} (CLI-01)`, () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* docket.run(["--completions", shell])
        assert.deepStrictEqual([code, stderr], [0, ""])
        for (const word of ["worker", "for-task", "older-than", "docket", "completed"]) assert.include(stdout, word)
        // bash is everywhere; the others are asked where they are.
        if (shell !== "bash" && !isInstalled(shell)) return
        const directory = yield* Effect.acquireRelease(
          Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "docket-completions-"))),
          (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
        )
        Fs.writeFileSync(Path.join(directory, "_docket"), stdout)
        Fs.writeFileSync(Path.join(directory, "handlers.ts"), "")
        for (const [line, candidates] of completed) {
          const said = complete(line, directory)
          for (const candidate of candidates) assert.include(said, candidate, line)
        }
      })
    )
  }

  it.live("knows all commands, also when it is asked for one (CLI-01)", () =>
    Effect.gen(function* () {
      const { stdout } = yield* docket.run(["worker", "--completions", "fish"])
      assert.include(stdout, "snapshot")
    })
  )
})
