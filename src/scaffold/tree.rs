//! The values of a chart as one tree: its own, those of its subcharts, and those that a person
//! gives.

use camino::Utf8Path;

use crate::chart::{ChartError, ChartTree};
use rune_core::yaml::{self, Node, Value};

/// Far above what values files have, aliases written out.
const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    Null,
    Scalar { text: String, is_plain: bool },
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// A scalar, or the place of one that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) path: Vec<Step>,
    pub(super) text: String,
}

impl Tree {
    /// What a chart is installed with when nothing but `files` is given, later ones winning.
    pub(super) fn effective(
        chart: &ChartTree,
        files: &[(String, String)],
    ) -> Result<Self, ChartError> {
        let mut values = of_chart(chart, 0)?;
        for (path, text) in files {
            values.merge(read(path, text)?);
        }
        Ok(values)
    }

    /// Every scalar, and every value that is empty.
    pub(super) fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        self.collect(&mut Vec::new(), &mut leaves);
        leaves
    }

    fn collect(&self, path: &mut Vec<Step>, leaves: &mut Vec<Leaf>) {
        let mut below = |step: Step, value: &Self, leaves: &mut Vec<Leaf>| {
            path.push(step);
            value.collect(path, leaves);
            path.pop();
        };
        match self {
            Self::Map(entries) => entries
                .iter()
                .for_each(|(key, value)| below(Step::Key(key.clone()), value, leaves)),
            Self::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(number, item)| below(Step::Item(number), item, leaves)),
            Self::Null => leaves.push(Leaf {
                path: path.clone(),
                text: String::new(),
            }),
            Self::Scalar { text, .. } => leaves.push(Leaf {
                path: path.clone(),
                text: text.clone(),
            }),
        }
    }

    pub(super) fn at(&self, path: &[Step]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |value, step| match (value, step) {
                (Self::Map(entries), Step::Key(key)) => entries
                    .iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, value)| value),
                (Self::List(items), Step::Item(number)) => items.get(*number),
                _ => None,
            })
    }

    /// As Helm lays values over others: mappings are merged, anything else is replaced.
    fn merge(&mut self, over: Self) {
        match (self, over) {
            (Self::Map(below), Self::Map(above)) => {
                for (key, value) in above {
                    match below.iter_mut().find(|(name, _)| *name == key) {
                        Some((_, existing)) => existing.merge(value),
                        None => below.push((key, value)),
                    }
                }
            }
            (existing, over) => *existing = over,
        }
    }
}

impl From<Node> for Tree {
    fn from(node: Node) -> Self {
        match node.value {
            Value::Null => Self::Null,
            Value::Scalar { text, is_plain } => Self::Scalar { text, is_plain },
            Value::Sequence(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Mapping(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.text, value.into()))
                    .collect(),
            ),
        }
    }
}

fn read(path: &str, text: &str) -> Result<Tree, ChartError> {
    let tree = Tree::from(yaml::parse_rendered(Utf8Path::new(path), text, MAX_NODES)?);
    Ok(if tree == Tree::Null {
        Tree::Map(Vec::new())
    } else {
        tree
    })
}

/// The values of a chart, those of its subcharts under their names.
fn of_chart(chart: &ChartTree, depth: usize) -> Result<Tree, ChartError> {
    let mut values = Tree::Map(Vec::new());
    let metadata = chart.own_metadata(Utf8Path::new("the chart"))?;
    for (place, subchart) in chart.subcharts() {
        if depth == MAX_DEPTH || subchart.get("Chart.yaml").is_none() {
            continue;
        }
        let name = subchart.own_metadata(&place)?.name;
        let below = of_chart(&subchart, depth + 1)?;
        let asked = metadata
            .dependencies
            .iter()
            .filter(|dependency| dependency.name == name);
        let mut names: Vec<String> = asked
            .map(|dependency| {
                if dependency.alias.is_empty() {
                    &name
                } else {
                    &dependency.alias
                }
            })
            .cloned()
            .collect();
        if names.is_empty() {
            names.push(name);
        }
        names
            .into_iter()
            .for_each(|name| values.merge(Tree::Map(vec![(name, below.clone())])));
    }
    if let Some(text) = chart
        .get("values.yaml")
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
    {
        values.merge(read("values.yaml", text)?);
    }
    Ok(values)
}
