//! The few elements of SVG that a chart needs.

/// Attributes suit light surroundings, and viewers that know no style sheets; this is for dark ones.
const STYLE: &str = "<style>@media (prefers-color-scheme: dark) {
.back { fill: #0d1117 } .text { fill: #e6edf3 } .grid { stroke: #30363d } .one { stroke: #e6edf3 }
}</style>";

pub fn document(width: f64, height: f64, label: &str, content: &str) -> String {
    let label = escaped(label);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" role=\"img\" \
         aria-label=\"{label}\">\n{STYLE}\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         {content}</svg>\n"
    )
}

/// `title` is what a viewer shows while the pointer is over the rectangle.
pub fn rect(x: f64, y: f64, width: f64, height: f64, colour: &str, title: &str) -> String {
    let title = escaped(title);
    format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         fill=\"{colour}\"><title>{title}</title></rect>\n"
    )
}

/// A vertical line of the grid; the one that matters stands out.
pub fn line(x: f64, top: f64, bottom: f64, matters: bool) -> String {
    let (class, colour) = match matters {
        true => ("one", "#1f2328"),
        false => ("grid", "#d0d7de"),
    };
    format!(
        "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" \
         stroke=\"{colour}\"/>\n"
    )
}

/// `anchor` says which end of the text is at `x`: `start`, `middle` or `end`.
pub fn text(x: f64, y: f64, anchor: &str, size: u32, text: &str) -> String {
    let text = escaped(text);
    format!(
        "<text class=\"text\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" \
         font-size=\"{size}\" fill=\"#1f2328\">{text}</text>\n"
    )
}

/// As XML wants it. Control characters, which it cannot hold at all, become blanks.
fn escaped(text: &str) -> String {
    text.replace(char::is_control, " ")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
