/**
 * The vocabulary of the template part: what goes in, what comes out. `compile-template.ts` makes a
 * `Template` from its files once, when definitions are applied; `render-message.ts` fills it for
 * one person and is a pure function.
 */

import type { Json, JsonObject } from '../lib/json.ts'

/** The files of `templates/<name>/`, as written. */
export interface TemplateSource {
  readonly name: string
  readonly mjml: string
  readonly subject: string
  /** Absent: the text part is made from the HTML. */
  readonly text?: string
}

/** A compiled template: Liquid inside HTML. Content-addressed by whoever stores it. */
export interface Template {
  readonly name: string
  readonly html: string
  readonly subject: string
  readonly text: string | null
}

/**
 * Everything that decides a message's bytes, as plain JSON: it is stored as evidence. The keys that
 * sign links are not in it, only their id.
 */
export interface RenderInput {
  readonly rendererVersion: string
  readonly template: Template
  /** What Liquid sees, by name: `profile`, `event`, `cart`, `recommendations`, `campaign` ... */
  readonly values: JsonObject
  readonly message: {
    readonly messageId: string
    readonly from: string
    readonly to: string
    readonly replyTo?: string
    /** Date header, whole seconds. */
    readonly dateMs: number
    /** Origin of links, without a trailing slash. */
    readonly publicUrl: string
    readonly signingKeyId: string
    /** Marketing mail carries List-Unsubscribe and an open pixel. */
    readonly topic: string
  }
}

export interface RenderedMessage {
  readonly subject: string
  readonly html: string
  readonly text: string
  /** As in the message, in order, without those of MIME. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** The whole RFC 5322 message, CRLF, before DKIM. The same input and keys give the same bytes. */
  readonly raw: Uint8Array<ArrayBuffer>
  /** Destinations of the click links, by the index in their token. */
  readonly links: readonly string[]
}

/** Bad data is a value: a template that cannot be filled says why, and where if known. */
export type RenderAnswer =
  | { readonly kind: 'rendered'; readonly message: RenderedMessage }
  | { readonly kind: 'refused'; readonly reason: RenderRefusal; readonly says: string }

export type RenderRefusal =
  | 'limit'
  | 'template'
  | 'missing-value'
  | 'bad-address'
  | 'bad-link'
  | 'killed'

/** Renders off the calling thread, with a time after which the work is killed. */
export interface Renderer {
  render(input: RenderInput): Promise<RenderAnswer>
  close(): Promise<void>
}

export type LiquidValue = Json
