/**
 * What to do about an answer of the server that keeps a docket from its work.
 */

/** The advice on what a server said; nothing where its own words are all that can be said. */
export const adviceOn = (words: string): string | undefined => all.find(([answer]) => answer.test(words))?.[1]

const all: ReadonlyArray<readonly [answer: RegExp, advice: string]> = [
  [
    /\bECONNREFUSED\b/,
    "Start Redis there, or give the URL of another (--url or DOCKET_URL); or keep the docket in a file of this machine, without a server: sqlite:./docket.db"
  ],
  [
    /\bWRONGPASS\b/,
    "Give the user and password of an ACL user in the URL, percent-encoded: redis://user:password@host:6379/0"
  ],
  [
    /\bNOAUTH\b/,
    "The server asks for a password: give it in the URL, percent-encoded, as in redis://:password@host:6379/0"
  ],
  [/\bNOPERM\b/, "Allow the user what a docket needs, which docs/redis.md lists; docket doctor tells what is missing"],
  [
    /\bREADONLY\b/,
    "This server is a replica: give the address of its primary, or those of the Sentinels (redis+sentinel://)"
  ],
  [
    /^DENIED\b/,
    "The server takes nobody from another machine: give it a password, or bind it to an address (bind, requirepass)"
  ],
  [/^BUSY\b/, "A script that is none of the docket's keeps the server busy: end it with SCRIPT KILL or FUNCTION KILL"],
  [/^LOADING\b/, "The server reads its data from disk, as it does after a start: wait until it has"],
  [/^(?:MOVED|ASK|TRYAGAIN)\b/, "The server is a node of a cluster: write the scheme as redis+cluster"],
  [
    /^CLUSTERDOWN\b/,
    "The cluster lacks a node that serves the docket's slot: look at CLUSTER INFO and CLUSTER NODES, and start what is missing"
  ],
  [/^MASTERDOWN\b/, "This replica has lost its primary: look why, or give the address of another server"],
  [
    /max number of clients/,
    "The server takes no more connections: look with CLIENT LIST who has them, or raise its maxclients"
  ],
  [
    /\bMISCONF\b/,
    "The server cannot write to its disk, and takes no writes until it can: look at its log, and at the room and rights on the disk"
  ],
  [/\bOOM\b/, "The server's memory is full: raise its maxmemory, or find out what fills it"],
  [
    /\bNOREPLICAS\b/,
    "Too few replicas follow the primary, so that nothing counts as written: start them, or look why they do not follow"
  ]
]
