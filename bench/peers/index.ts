/** The peers by name. Each is loaded only in the process that measures it. */
import type { Peer } from "./Peer.ts"

const load = {
  docket: () => import("./docket.ts"),
  bullmq: () => import("./bullmq.ts"),
  "bullmq-15m": () => import("./bullmq.ts").then(({ pruningPeer }) => ({ peer: pruningPeer })),
  "effect-mq": () => import(new URL("../effect-mq/peer.js", import.meta.url).href) as Promise<{ peer: Peer }>,
  "persisted-queue": () => import("./persistedQueue.ts"),
  limit: () => import("./limit.ts")
} satisfies Record<string, () => Promise<{ readonly peer: Peer }>>

export type PeerName = keyof typeof load

export const peerNames = Object.keys(load) as ReadonlyArray<PeerName>

export const isPeerName = (name: string): name is PeerName => Object.hasOwn(load, name)

export const loadPeer = async (name: PeerName): Promise<Peer> => (await load[name]()).peer
