/**
 * Rules of this repository for oxlint.
 */

/**
 * What is on the left of a `yield*` is read before it, and what others may change meanwhile is stale after it: in
 * `list.push(yield* next)` the list may be another one by then, in `count += yield* next` what was counted meanwhile is
 * lost. So a variable that is assigned anew somewhere, and belongs to more than the generator, is not read there.
 */
const noStaleRead = {
  meta: { type: "problem" },
  create: (context) => ({
    YieldExpression(node) {
      if (!node.delegate) return
      const ancestors = context.sourceCode.getAncestors(node)
      const generator = ancestors.findLastIndex(({ type }) => /Function/.test(type))
      if (generator < 0) return
      const scope = context.sourceCode.getScope(node)
      const path = [...ancestors.slice(generator + 1), node]
      for (let i = 0; i + 1 < path.length; i++) {
        if (/Statement|Declaration|SwitchCase|CatchClause/.test(path[i].type)) continue
        // Of what is changed in place the old value is read, whoever has it.
        const isChange = path[i].type === "AssignmentExpression" && path[i].operator !== "="
        for (const read of readBefore(path[i], path[i + 1])) {
          for (const identifier of identifiersIn(read)) {
            if (!isShared(scope, ancestors[generator], identifier.name, isChange)) continue
            context.report({
              node: identifier,
              message: `"${identifier.name}" is read before the yield* in the same expression, and may be another one after it: do the yield* first, and give its result a name`
            })
          }
        }
      }
    }
  })
}

/** The parts of an expression that are evaluated before one of them. */
const readBefore = (parent, child) => {
  switch (parent.type) {
    case "CallExpression":
    case "NewExpression":
      return before([parent.callee, ...parent.arguments], child)
    case "ArrayExpression":
      return before(parent.elements, child)
    case "TemplateLiteral":
      return before(parent.expressions, child)
    case "ObjectExpression":
      return before(parent.properties, child)
    case "BinaryExpression":
      return before([parent.left, parent.right], child)
    case "MemberExpression":
      return before([parent.object, parent.property], child)
    case "AssignmentExpression":
      // A plain variable is only written.
      return parent.operator === "=" && parent.left.type === "Identifier"
        ? []
        : before([parent.left, parent.right], child)
    default:
      return []
  }
}

const before = (parts, child) => parts.slice(0, Math.max(0, parts.indexOf(child))).filter((part) => part !== null)

/** The variables that an expression reads at once. */
function* identifiersIn(node) {
  if (node === null || typeof node !== "object" || /Function/.test(node.type ?? "")) return
  if (Array.isArray(node)) {
    for (const part of node) yield* identifiersIn(part)
    return
  }
  if (node.type === "Identifier") {
    yield node
    return
  }
  for (const [name, part] of Object.entries(node)) {
    if (name === "parent" || name === "typeAnnotation" || name === "typeArguments" || name === "loc") continue
    if (name === "key" && !node.computed) continue
    if (name === "property" && node.type === "MemberExpression" && !node.computed) continue
    if (part !== null && typeof part === "object") yield* identifiersIn(part)
  }
}

/** Whether a variable is declared outside of a function, and is assigned anew somewhere, or is anyway one that changes. */
const isShared = (scope, generator, name, changes) => {
  for (let at = scope; at !== null; at = at.upper) {
    const variable = at.set.get(name)
    if (variable === undefined) continue
    const declared = variable.defs[0]?.node
    if (declared === undefined || contains(generator, declared)) return false
    return changes || variable.references.some((reference) => reference.isWrite() && !reference.init)
  }
  return false
}

const contains = (outer, inner) => inner.range[0] >= outer.range[0] && inner.range[1] <= outer.range[1]

export default { meta: { name: "docket" }, rules: { "no-stale-read": noStaleRead } }
