/** Certificates for servers on the loopback, signed by an authority that lives as long as the test. */
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Util from "node:util"

/** Paths of files in PEM. */
export interface Certificates {
  /** The authority to trust. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const execFile = Util.promisify(ChildProcess.execFile)

/** Makes an authority, and a certificate for 127.0.0.1 and localhost that serves servers and clients. */
export const makeCertificates = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-tls-"))),
    (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
  ).pipe(
    Effect.tap((cwd) =>
      Effect.promise(async () => {
        const openssl = (args: string) => execFile("openssl", args.split(" "), { cwd })
        const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        await openssl(`req -x509 ${key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem`)
        await openssl(`req ${key} -subj /CN=server -keyout key.pem -out request.pem`)
        await Fs.writeFile(Path.join(cwd, "names"), "subjectAltName=IP:127.0.0.1,DNS:localhost")
        await openssl(
          "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem"
        )
      })
    )
  ),
  (directory): Certificates => ({
    ca: Path.join(directory, "ca.pem"),
    cert: Path.join(directory, "cert.pem"),
    key: Path.join(directory, "key.pem")
  })
)
