//! The messages of core interfaces and of `xdg_shell`, in the order of their numbers.

/// An interface.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: &'static str,
    /// The names of its requests; behind `>` stands the interface of the object whose id is the
    /// first argument, and `+` behind those with a file descriptor.
    pub(super) requests: &'static [&'static str],
    pub(super) events: &'static [&'static str],
}

/// Returns the interface with this name.
pub(super) fn named(name: &str) -> Option<&'static Interface> {
    INTERFACES.iter().find(|interface| interface.name == name)
}

const fn interface(
    name: &'static str,
    requests: &'static [&'static str],
    events: &'static [&'static str],
) -> Interface {
    Interface { name, requests, events }
}

const INTERFACES: &[Interface] = &[
    interface("wl_display", &["sync>wl_callback", "get_registry>wl_registry"], &["error", "delete_id"]),
    interface("wl_registry", &["bind"], &["global", "global_remove"]),
    interface("wl_callback", &[], &["done"]),
    interface("wl_compositor", &["create_surface>wl_surface", "create_region>wl_region"], &[]),
    interface("wl_shm", &["create_pool>wl_shm_pool+", "release"], &["format"]),
    interface("wl_shm_pool", &["create_buffer>wl_buffer", "destroy", "resize"], &[]),
    interface("wl_buffer", &["destroy"], &["release"]),
    interface(
        "wl_surface",
        &[
            "destroy",
            "attach",
            "damage",
            "frame>wl_callback",
            "set_opaque_region",
            "set_input_region",
            "commit",
            "set_buffer_transform",
            "set_buffer_scale",
            "damage_buffer",
            "offset",
        ],
        &["enter", "leave", "preferred_buffer_scale", "preferred_buffer_transform"],
    ),
    interface(
        "wl_seat",
        &["get_pointer>wl_pointer", "get_keyboard>wl_keyboard", "get_touch>wl_touch", "release"],
        &["capabilities", "name"],
    ),
    interface(
        "wl_pointer",
        &["set_cursor", "release"],
        &[
            "enter",
            "leave",
            "motion",
            "button",
            "axis",
            "frame",
            "axis_source",
            "axis_stop",
            "axis_discrete",
            "axis_value120",
            "axis_relative_direction",
        ],
    ),
    interface("wl_keyboard", &["release"], &["keymap+", "enter", "leave", "key", "modifiers", "repeat_info"]),
    interface("wl_touch", &["release"], &["down", "up", "motion", "frame", "cancel", "shape", "orientation"]),
    interface("wl_output", &["release"], &["geometry", "mode", "done", "scale", "name", "description"]),
    interface("wl_region", &["destroy", "add", "subtract"], &[]),
    interface("wl_subcompositor", &["destroy", "get_subsurface>wl_subsurface"], &[]),
    interface(
        "wl_subsurface",
        &["destroy", "set_position", "place_above", "place_below", "set_sync", "set_desync"],
        &[],
    ),
    interface(
        "wl_data_device_manager",
        &["create_data_source>wl_data_source", "get_data_device>wl_data_device"],
        &[],
    ),
    interface(
        "wl_data_source",
        &["offer", "destroy", "set_actions"],
        &["target", "send+", "cancelled", "dnd_drop_performed", "dnd_finished", "action"],
    ),
    interface(
        "wl_data_device",
        &["start_drag", "set_selection", "release"],
        &["data_offer>wl_data_offer", "enter", "leave", "motion", "drop", "selection"],
    ),
    interface(
        "wl_data_offer",
        &["accept", "receive+", "destroy", "finish", "set_actions"],
        &["offer", "source_actions", "action"],
    ),
    interface(
        "xdg_wm_base",
        &["destroy", "create_positioner>xdg_positioner", "get_xdg_surface>xdg_surface", "pong"],
        &["ping"],
    ),
    interface(
        "xdg_positioner",
        &[
            "destroy",
            "set_size",
            "set_anchor_rect",
            "set_anchor",
            "set_gravity",
            "set_constraint_adjustment",
            "set_offset",
            "set_reactive",
            "set_parent_size",
            "set_parent_configure",
        ],
        &[],
    ),
    interface(
        "xdg_surface",
        &[
            "destroy",
            "get_toplevel>xdg_toplevel",
            "get_popup>xdg_popup",
            "set_window_geometry",
            "ack_configure",
        ],
        &["configure"],
    ),
    interface(
        "xdg_toplevel",
        &[
            "destroy",
            "set_parent",
            "set_title",
            "set_app_id",
            "show_window_menu",
            "move",
            "resize",
            "set_max_size",
            "set_min_size",
            "set_maximized",
            "unset_maximized",
            "set_fullscreen",
            "unset_fullscreen",
            "set_minimized",
        ],
        &["configure", "close", "configure_bounds", "wm_capabilities"],
    ),
    interface("xdg_popup", &["destroy", "grab", "reposition"], &["configure", "popup_done", "repositioned"]),
];
