/** Colours of the expressions, as in every plot of the Python package. */

const COLOURS: Record<string, string> = {
  anger: "#d1495b",
  contempt: "#8d6a9f",
  disgust: "#5b8e3e",
  fear: "#6f5fb3",
  happiness: "#e8a33d",
  neutral: "#8a8f98",
  sadness: "#3d7ea6",
  surprise: "#2fa39a",
};
const SPARE = ["#7a5c3e", "#3e6f7a", "#a05c8f", "#5c7a3e", "#7a3e4b", "#4b3e7a"];

export function colour(label: string): string {
  const sum = [...label].reduce((total, letter) => total + letter.charCodeAt(0), 0);
  return COLOURS[label] ?? SPARE[sum % SPARE.length];
}
