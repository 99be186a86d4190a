/** A TCP proxy in front of Redis that breaks connections in the ways in which networks do. */
import * as Net from "node:net"

export interface Proxy {
  readonly port: number
  /** Closes all connections at once. */
  readonly cut: () => void
  /** Delays what passes, in both directions. */
  readonly setDelay: (millis: number) => void
  /** Keeps connections open and lets nothing pass, as a cable that was pulled does. */
  readonly setSilent: (silent: boolean) => void
  /** Lets requests pass, and drops the replies; `cut` afterwards, or the replies would be out of step. */
  readonly setMute: (mute: boolean) => void
  readonly close: () => Promise<void>
}

export const startProxy = async (target: number): Promise<Proxy> => {
  const pairs = new Set<readonly [Net.Socket, Net.Socket]>()
  let delayMillis = 0
  let silent = false
  let mute = false

  const pass = (from: Net.Socket, to: Net.Socket, isReply: boolean) => {
    // What was delayed goes before what came later, also once there is no more delay.
    const delayed: Array<Buffer> = []
    from.on("data", (data) => {
      if (silent || (mute && isReply)) return
      if (delayMillis === 0 && delayed.length === 0) return to.write(data)
      delayed.push(data)
      setTimeout(() => {
        const next = delayed.shift()
        if (next !== undefined && to.writable) to.write(next)
      }, delayMillis)
    })
  }

  const server = Net.createServer((client) => {
    const upstream = Net.connect(target, "127.0.0.1")
    const pair = [client, upstream] as const
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of pair) socket.on("error", end).on("close", end).setNoDelay(true)
    pass(client, upstream, false)
    pass(upstream, client, true)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy()
  }
  return {
    port: (server.address() as Net.AddressInfo).port,
    cut,
    setDelay: (millis) => {
      delayMillis = millis
    },
    setSilent: (value) => {
      silent = value
      // What was swallowed is missing from both streams, so they cannot go on.
      if (!value) cut()
    },
    setMute: (value) => {
      mute = value
      if (!value) cut()
    },
    close: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}
