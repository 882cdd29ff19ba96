/**
 * The port to an email provider.
 *
 * Contract, checked for every adapter by `mailer.contract.ts`:
 * - `handOver` makes one attempt and never retries by itself;
 * - it asks `mayBegin` when the next byte to leave would be the message's first, so behind every
 *   wait for a connection; where that answers no, nothing of it leaves, and it says `refused`;
 * - `accepted` only if the provider said that it took the message; `deferred` and `failed` only if
 *   it said that it did not (4xx, 5xx), or the attempt ended before the message's last byte could
 *   have been taken;
 * - in every other case (cut, time-out or shutdown from the end of the data to the answer) it is
 *   `unknown`;
 * - it never rejects, and ends within its time limit or when `signal` aborts.
 */

export interface HandOverRequest {
  readonly messageId: string
  readonly attempt: number
  readonly envelopeFrom: string
  readonly envelopeTo: string
  /** The whole message; written as it is. */
  readonly raw: Uint8Array
  /** Looks once more whether the message may be sent. Never rejects. */
  mayBegin(): Promise<boolean>
}

export type HandOver =
  | { readonly kind: 'accepted'; readonly response: string }
  | { readonly kind: 'deferred'; readonly response: string }
  | { readonly kind: 'failed'; readonly response: string }
  | { readonly kind: 'unknown'; readonly response: string }
  | { readonly kind: 'refused'; readonly response: string }

export interface Mailer {
  handOver(request: HandOverRequest, signal: AbortSignal): Promise<HandOver>
  close(): Promise<void>
}
