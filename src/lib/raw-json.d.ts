/** In the engine since V8 11.4, and not yet in the compiler's library. */
interface JSON {
  rawJSON(text: string): { readonly rawJSON: string }
}
