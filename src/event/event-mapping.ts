/**
 * The mapping of what producers write to the one normal form: names of events, names of properties,
 * and what is read as a number or a currency. `normal-form.ts` follows this table, its test takes
 * each row as a case, and `docs/reference/event-mapping.md` is printed from it.
 *
 * The normal form is that of Segment's ecommerce spec, version 2. Only events that the spec names
 * are touched, and of other events the currency: a name that the spec does not know may mean
 * anything.
 */

/** What the properties of an event describe beside the event itself. */
export type EventShape =
  /** One product, by properties of the event. */
  'product' | 'other'

export interface EventNameRow {
  readonly name: string
  readonly shape: EventShape
  /** Names of the first version of the spec, and others that mean the same. */
  readonly older: readonly string[]
}

/** A name is known in any case, and with its words joined by blanks, `_`, `-`, `.`, or nothing. */
export const eventNameRows: readonly EventNameRow[] = [
  { name: 'Products Searched', shape: 'other', older: ['Searched Products'] },
  {
    name: 'Product List Viewed',
    shape: 'other',
    older: ['Viewed Product Category', 'Viewed Product List', 'Product Category Viewed'],
  },
  { name: 'Product List Filtered', shape: 'other', older: ['Filtered Product List'] },
  { name: 'Promotion Viewed', shape: 'other', older: ['Viewed Promotion'] },
  { name: 'Promotion Clicked', shape: 'other', older: ['Clicked Promotion'] },
  { name: 'Product Clicked', shape: 'product', older: ['Clicked Product'] },
  { name: 'Product Viewed', shape: 'product', older: ['Viewed Product'] },
  { name: 'Product Added', shape: 'product', older: ['Added Product', 'Added To Cart'] },
  { name: 'Product Removed', shape: 'product', older: ['Removed Product'] },
  { name: 'Cart Viewed', shape: 'other', older: ['Viewed Cart'] },
  { name: 'Checkout Started', shape: 'other', older: ['Started Checkout', 'Started Order'] },
  { name: 'Checkout Step Viewed', shape: 'other', older: ['Viewed Checkout Step'] },
  { name: 'Checkout Step Completed', shape: 'other', older: ['Completed Checkout Step'] },
  { name: 'Payment Info Entered', shape: 'other', older: ['Entered Payment Info'] },
  { name: 'Order Updated', shape: 'other', older: ['Updated Order'] },
  { name: 'Order Completed', shape: 'other', older: ['Completed Order'] },
  { name: 'Order Refunded', shape: 'other', older: ['Refunded Order'] },
  { name: 'Order Cancelled', shape: 'other', older: ['Cancelled Order', 'Order Canceled'] },
  { name: 'Coupon Entered', shape: 'other', older: ['Entered Coupon'] },
  { name: 'Coupon Applied', shape: 'other', older: ['Applied Coupon'] },
  { name: 'Coupon Denied', shape: 'other', older: ['Denied Coupon'] },
  { name: 'Coupon Removed', shape: 'other', older: ['Removed Coupon'] },
  { name: 'Product Added to Wishlist', shape: 'product', older: ['Added Product to Wishlist'] },
  {
    name: 'Product Removed from Wishlist',
    shape: 'product',
    older: ['Removed Product from Wishlist'],
  },
  {
    name: 'Wishlist Product Added to Cart',
    shape: 'product',
    older: ['Added Wishlist Product to Cart'],
  },
  { name: 'Product Shared', shape: 'product', older: ['Shared Product'] },
  { name: 'Cart Shared', shape: 'other', older: ['Shared Cart'] },
  { name: 'Product Reviewed', shape: 'product', older: ['Reviewed Product'] },
]

export interface PropertyRow {
  readonly name: string
  /** Where it stands: at the event, at each of its `products`, or both. */
  readonly at: 'event' | 'product' | 'both'
  readonly reads: 'as-is' | 'number' | 'currency'
  /** Other spellings of the same; the property is renamed. */
  readonly renamed: readonly string[]
  /**
   * Other properties whose value stands for it where it is missing; they keep their own name, which
   * has a meaning of its own.
   */
  readonly copied?: readonly string[]
}

/** Rows of `product` hold at the event too where its shape is `product`. */
export const propertyRows: readonly PropertyRow[] = [
  {
    name: 'product_id',
    at: 'product',
    reads: 'as-is',
    renamed: ['productId', 'productID', 'ProductID', 'item_id', 'itemId'],
    copied: ['id', 'sku'],
  },
  { name: 'name', at: 'product', reads: 'as-is', renamed: ['product_name', 'productName'] },
  { name: 'image_url', at: 'product', reads: 'as-is', renamed: ['imageUrl', 'imageURL'] },
  { name: 'price', at: 'product', reads: 'number', renamed: [] },
  { name: 'quantity', at: 'product', reads: 'number', renamed: ['qty'] },
  { name: 'position', at: 'both', reads: 'number', renamed: [] },
  { name: 'coupon', at: 'both', reads: 'as-is', renamed: ['couponCode', 'coupon_code'] },
  { name: 'currency', at: 'both', reads: 'currency', renamed: [] },
  { name: 'value', at: 'both', reads: 'number', renamed: [] },
  { name: 'revenue', at: 'event', reads: 'number', renamed: [] },
  { name: 'total', at: 'event', reads: 'number', renamed: [] },
  { name: 'subtotal', at: 'event', reads: 'number', renamed: ['subTotal', 'sub_total'] },
  { name: 'tax', at: 'event', reads: 'number', renamed: [] },
  { name: 'shipping', at: 'event', reads: 'number', renamed: [] },
  { name: 'discount', at: 'both', reads: 'number', renamed: [] },
  { name: 'step', at: 'event', reads: 'number', renamed: [] },
  { name: 'rating', at: 'event', reads: 'number', renamed: [] },
  { name: 'order_id', at: 'event', reads: 'as-is', renamed: ['orderId', 'orderID'] },
  { name: 'checkout_id', at: 'event', reads: 'as-is', renamed: ['checkoutId', 'checkoutID'] },
  { name: 'cart_id', at: 'event', reads: 'as-is', renamed: ['cartId', 'cartID'] },
  { name: 'list_id', at: 'event', reads: 'as-is', renamed: ['listId', 'listID'] },
  { name: 'promotion_id', at: 'event', reads: 'as-is', renamed: ['promotionId', 'promotionID'] },
  { name: 'wishlist_id', at: 'event', reads: 'as-is', renamed: ['wishlistId', 'wishlistID'] },
  { name: 'coupon_id', at: 'event', reads: 'as-is', renamed: ['couponId', 'couponID'] },
  { name: 'shipping_method', at: 'event', reads: 'as-is', renamed: ['shippingMethod'] },
  { name: 'payment_method', at: 'event', reads: 'as-is', renamed: ['paymentMethod'] },
]

/**
 * A number as a text: digits, a point, digits. `1,234.50` and `12,50` may mean two things and are
 * left as they are.
 */
export const numberText = /^-?\d{1,12}(?:\.\d{1,9})?$/

/** The shape of a code of ISO 4217, in any case. */
export const currencyText = /^[A-Za-z]{3}$/
