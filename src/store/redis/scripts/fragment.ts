/** Lua that says what it builds on: a script lists what it calls itself, and gets that with all that it needs. */

/** A piece of Lua that scripts share. */
export interface Fragment {
  /** The fragments whose names it uses. */
  readonly needs: ReadonlyArray<Fragment>
  readonly lua: string
}

/** Describes a fragment. */
export const fragment = (needs: ReadonlyArray<Fragment>, lua: string): Fragment => ({ needs, lua })

/**
 * The Lua of fragments, each once and after all that it needs. What is `given` is there already, with what it needs: in the
 * scope around.
 */
export const compose = (uses: ReadonlyArray<Fragment>, given: ReadonlyArray<Fragment> = []): string => {
  const defined = new Set<Fragment>()
  const define = (one: Fragment): string => {
    if (defined.has(one)) return ""
    defined.add(one)
    return one.needs.map(define).join("") + one.lua
  }
  given.forEach(define)
  return uses.map(define).join("")
}
