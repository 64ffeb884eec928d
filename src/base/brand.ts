declare const brand: unique symbol;

/**
 * A value of type `T` with a compile-time tag. Two brands over `number` cannot be mixed, although both are plain
 * numbers at run time.
 */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
