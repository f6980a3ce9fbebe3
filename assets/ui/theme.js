// The theme that the web app remembers, for pages that it does not draw.

export const start = () => {
  const { classList } = document.documentElement;
  if (classList.contains("light") || classList.contains("dark")) return;
  let saved = null;
  try {
    saved = localStorage.getItem("theme");
  } catch {
    // storage may be refused
  }
  if (saved === "light" || saved === "dark") classList.add(saved);
};
