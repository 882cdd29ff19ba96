/** The second version of Segment's ecommerce spec as methods. */

const names = [
  'Products Searched,Product List Viewed,Product List Filtered,Promotion Viewed,Promotion Clicked',
  'Product Clicked,Product Viewed,Product Added,Product Removed,Cart Viewed,Checkout Started',
  'Checkout Step Viewed,Checkout Step Completed,Payment Info Entered,Order Updated,Order Completed',
  'Order Refunded,Order Cancelled,Coupon Entered,Coupon Applied,Coupon Denied,Coupon Removed',
  'Product Added to Wishlist,Product Removed from Wishlist,Wishlist Product Added to Cart',
  'Product Shared,Cart Shared,Product Reviewed',
]

/**
 * Returns one method for each event: `productViewed` tracks `Product Viewed`.
 *
 * @param {(event: string, properties: object) => void} track
 * @returns {import('./attune-browser.d.ts').Ecommerce}
 */
export function createEcommerce(track) {
  const methods = names
    .join()
    .split(',')
    .map((name) => [
      name.replace(/^.| ./g, (start, at) =>
        at ? start.trim().toUpperCase() : start.toLowerCase(),
      ),
      (/** @type {object} */ properties) => track(name, properties),
    ])
  return Object.fromEntries(methods)
}
