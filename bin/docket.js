#!/usr/bin/env node
// Old releases of Node parse this file too, so that they can say what is wrong: keep its syntax old.
var required = [22, 19]
var running = process.versions.node.split(".").map(Number)

if (running[0] > required[0] || (running[0] === required[0] && running[1] >= required[1])) {
  import("node:module").then(function (module) {
    // From the second time on, Node takes what it compiled from its cache, and starts in half the time.
    module.enableCompileCache()
    // Node gives the real path here, so a clone linked into another project still counts as a clone.
    if (/[\\/]node_modules[\\/]/.test(decodeURIComponent(import.meta.url))) {
      import("../dist/cli/main.js")
    } else {
      import("../src/cli/main.ts")
    }
  })
} else {
  process.stderr.write(
    "docket needs Node " + required.join(".") + " or later, and this is Node " + running.join(".") + ".\n"
  )
  process.exitCode = 1
}
