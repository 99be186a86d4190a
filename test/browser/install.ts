/** Sees to it that there is a Chromium: Debian's, where it can be installed. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

const path = process.env["CHROMIUM"] ?? "/usr/bin/chromium"
const run = (command: string, ...args: ReadonlyArray<string>) =>
  spawnSync(command, args, { stdio: "inherit" }).status === 0

if (!existsSync(path)) {
  const isInstalled =
    process.getuid?.() === 0 &&
    run("apt-get", "update") &&
    run("apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core")
  if (!isInstalled || !existsSync(path)) {
    process.stderr.write(
      `There is no Chromium at ${path}: install one, or say where it is with CHROMIUM=/path/to/chromium\n`
    )
    process.exit(1)
  }
}
