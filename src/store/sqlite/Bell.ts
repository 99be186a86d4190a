/**
 * Hears of what other connections write, in this process and in others.
 *
 * **Details**
 *
 * Every transaction appends to the `-wal` file, of which the operating system tells at once (inotify, kqueue,
 * ReadDirectoryChangesW), without a descriptor of the database. `PRAGMA data_version` then says whether it was another
 * connection. So waking takes well under a millisecond, and waiting takes nothing.
 *
 * Where the system does not tell, as on some mounts of containers, the version is looked at by a timer: twice a second as
 * long as the bell works; once changes were found that it did not ring for, every 2 ms while there are some, and ever more
 * seldom, up to every 20 ms, while there are none.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as FileSystem from "node:fs"
import * as RealTime from "../../internal/realTime.ts"
import type { Database } from "./Database.ts"

const looseMillis = 500
const closeMillis = { least: 2, most: 20 }

/** After so many changes in a row that were only found by looking, the bell is taken to be broken. */
const patience = 3

/** Calls `ring` after another connection has written something, until the scope is closed. */
export const make: (database: Database, ring: () => void) => Effect.Effect<void, never, Scope.Scope> =
  Effect.fnUntraced(function* (database, ring) {
    let watcher: FileSystem.FSWatcher | undefined
    let missed = 0
    let pauseMillis = looseMillis

    const unwatch = () => {
      watcher?.close()
      watcher = undefined
    }
    const watch = () => {
      unwatch()
      try {
        watcher = FileSystem.watch(`${database.location.path}-wal`, { persistent: false })
      } catch {
        // The file is not there yet, or the system does not tell of changes: it is looked at instead.
        return
      }
      watcher.on("change", (what) => {
        if (what === "rename") return unwatch()
        if (!database.isChanged()) return
        missed = 0
        ring()
      })
      watcher.on("error", unwatch)
    }
    database.onReopen.add(watch)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        database.onReopen.delete(watch)
        unwatch()
      })
    )
    watch()

    const look = Effect.sync(() => {
      if (watcher === undefined) watch()
      const isChanged = database.isChanged()
      if (isChanged) {
        missed++
        ring()
      }
      const isBroken = watcher === undefined || missed >= patience
      pauseMillis = isBroken
        ? isChanged
          ? closeMillis.least
          : Math.min(Math.max(pauseMillis, closeMillis.least) * 1.2, closeMillis.most)
        : looseMillis
    })
    yield* Effect.suspend(() => Effect.sleep(pauseMillis)).pipe(
      Effect.andThen(look),
      Effect.forever,
      RealTime.inRealTime,
      Effect.forkScoped
    )
  })
