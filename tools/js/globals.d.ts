// The vendored scripts, as far as the studio uses them.

declare module "*/preact.min.js" {
  type Child = any;
  type Cleanup = void | (() => void);
  export function html(strings: TemplateStringsArray, ...values: any[]): any;
  export function render(child: Child, parent: Element | null): void;
  export function useEffect(effect: () => Cleanup, inputs?: readonly any[]): void;
  export function useMemo<T>(make: () => T, inputs: readonly any[]): T;
  export function useRef<T>(first: T): { current: T };
  export function useState<T = any>(first?: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
  export function signal<T>(first: T): { value: T };
  export function computed<T>(make: () => T): { readonly value: T };
  export function effect(run: () => Cleanup): () => void;
  export function batch(run: () => void): void;
}

interface Chart {
  setOption(option: object, options?: { notMerge?: boolean; lazyUpdate?: boolean }): void;
  resize(): void;
  dispose(): void;
}

interface Window {
  echarts: { init(element: Element, theme: string | null, options: object): Chart };
}
