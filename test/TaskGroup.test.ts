import { assert, it } from "@effect/vitest"
import { Task, TaskGroup } from "../src/index.ts"

const limited = (name: string, limit: number, scope?: string) => Task.make(name, { concurrency: { limit, scope } })

it("refuses two different tasks of one name, and takes one task twice", () => {
  const task = Task.make("a")
  assert.strictEqual(TaskGroup.make(task).merge(TaskGroup.make(task)).tasks.size, 1)
  assert.throws(() => TaskGroup.make(task, Task.make("a")), /Two different tasks are named "a"/)
})

it("ADM-08 refuses tasks that share a control and do not say the same of it, and says which", () => {
  const printing = TaskGroup.make(limited("print", 2, "printer"), limited("own", 9))
  assert.doesNotThrow(() => printing.add(limited("scan", 2, "printer"), limited("other", 3, "scanner")))
  for (const define of [
    () => TaskGroup.make(limited("print", 2, "printer"), limited("scan", 3, "printer")),
    () => printing.add(limited("scan", 3, "printer")),
    () => printing.merge(TaskGroup.make(limited("scan", 3, "printer")))
  ]) {
    assert.throws(
      define,
      'share a concurrency limit have to say the same of it, but of the scope "printer" task "print" says {"limit":2} and task "scan" {"limit":3}'
    )
  }
})

it("ADM-08 asks for the same of each kind of control, but for what a task does when it is over a rate", () => {
  const group = (...all: ReadonlyArray<Parameters<typeof Task.make>[1]>) =>
    TaskGroup.make(...all.map((options, i) => Task.make(`task-${i}`, options)))
  const scope = "mail"
  const rate = { limit: 1, per: "1 minute", scope } as const
  assert.doesNotThrow(() => group({ rateLimit: rate }, { rateLimit: { ...rate, onExceeded: "drop", by: String } }))
  assert.throws(() => group({ rateLimit: rate }, { rateLimit: { ...rate, per: "1 hour" } }), /rate limit/)
  assert.throws(() => group({ rateLimit: [rate, { ...rate, limit: 2 }] }), /"task-0" says .* and task "task-0"/)
  assert.throws(
    () => group({ cooldown: { window: "1 second", scope } }, { cooldown: { window: "2 seconds", scope } }),
    /cooldown/
  )
  assert.throws(
    () =>
      group({ debounce: { settle: "1 second", scope } }, { debounce: { settle: "1 second", maximum: 9000, scope } }),
    /debounce/
  )
  // A scope is one of its kind: the same name may stand for a limit and for a rate.
  assert.doesNotThrow(() =>
    group({ rateLimit: rate, concurrency: { limit: 5, scope } }, { cooldown: { window: 1, scope } })
  )
})

it("tells tasks and groups from everything else", () => {
  const task = Task.make("a")
  assert.deepStrictEqual([task, TaskGroup.make(task), { name: "a" }, undefined].map(Task.isTask), [
    true,
    false,
    false,
    false
  ])
  assert.deepStrictEqual([TaskGroup.make(task), task, undefined].map(TaskGroup.isTaskGroup), [true, false, false])
})
