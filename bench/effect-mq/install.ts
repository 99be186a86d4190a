/** effect-mq needs a release of Effect of its own, so it is installed in this folder, when it is first measured. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL(".", import.meta.url))

/** Installs it unless it is there; gives the reason when that fails. */
export const installEffectMq = (): string | undefined => {
  if (existsSync(`${folder}node_modules/effect-mq/package.json`)) return undefined
  console.log("installing effect-mq …")
  const { error, status, stderr } = spawnSync(
    "npm",
    ["install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
    { cwd: folder, encoding: "utf8", timeout: 180_000 }
  )
  if (status === 0) return undefined
  return error?.message ?? stderr.trim().split("\n").at(-1) ?? "npm install failed"
}
