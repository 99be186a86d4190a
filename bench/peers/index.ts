/** The peers by name. Each is loaded only in the process that measures it. */
import type { Peer } from "./Peer.ts"

const load = {
  docket: () => import("./docket.ts"),
  "docket-unmetered": () => import("./docket.ts").then(({ unmeteredPeer }) => ({ peer: unmeteredPeer() })),
  "docket-traced": () => import("./docket.ts").then(({ tracedPeer }) => ({ peer: tracedPeer })),
  "docket-sqlite": () => import("./docket.ts").then(({ filePeer }) => ({ peer: filePeer("normal") })),
  "docket-sqlite-full": () => import("./docket.ts").then(({ filePeer }) => ({ peer: filePeer("full") })),
  bullmq: () => import("./bullmq.ts"),
  "bullmq-15m": () => import("./bullmq.ts").then(({ pruningPeer }) => ({ peer: pruningPeer })),
  "effect-mq": () => import(new URL("../effect-mq/peer.js", import.meta.url).href) as Promise<{ peer: Peer }>,
  "persisted-queue": () => import("./persistedQueue.ts"),
  limit: () => import("./limit.ts")
} satisfies Record<string, () => Promise<{ readonly peer: Peer }>>

export type PeerName = keyof typeof load

export const peerNames = Object.keys(load) as ReadonlyArray<PeerName>

/** Those that are measured only when they are named. */
export const unusual: ReadonlySet<PeerName> = new Set([
  "docket-unmetered",
  "docket-traced",
  "docket-sqlite",
  "docket-sqlite-full",
  "bullmq-15m"
])

export const isPeerName = (name: string): name is PeerName => Object.hasOwn(load, name)

export const loadPeer = async (name: PeerName): Promise<Peer> => (await load[name]()).peer
