//! The names of requests, events and errors: of the core protocol, and of extensions by the name
//! by which clients ask for them. In the order of their numbers; `-` stands for a number without a
//! name.

/// What a table says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) name: &'static str,
    /// Whether the server replies.
    pub(super) has_reply: bool,
    /// Whether the word behind its header is the id of what it concerns.
    pub(super) has_id: bool,
}

/// The core protocol, or an extension.
#[derive(Debug)]
pub(super) struct Extension {
    /// Empty for the core protocol.
    pub(super) name: &'static str,
    /// `?` follows a request to which the server replies, `#` one that begins with an id.
    requests: &'static str,
    events: &'static str,
    /// The events that have any length.
    generic: &'static str,
    errors: &'static str,
}

/// The core protocol.
pub(super) static CORE: &Extension = &EXTENSIONS[0];

/// Returns the extension with this name.
pub(super) fn named(name: &[u8]) -> Option<&'static Extension> {
    EXTENSIONS[1..].iter().find(|extension| extension.name.as_bytes() == name)
}

impl Extension {
    pub(super) fn request(&self, number: u8) -> Option<Request> {
        let word = nth(self.requests, number.into())?;
        let name = word.trim_end_matches(['?', '#']);
        Some(Request { name, has_reply: word.ends_with('?'), has_id: word.contains('#') })
    }

    pub(super) fn event(&self, number: u8) -> Option<&'static str> {
        nth(self.events, number.into())
    }

    pub(super) fn generic(&self, number: u16) -> Option<&'static str> {
        nth(self.generic, number.into())
    }

    pub(super) fn error(&self, number: u8) -> Option<&'static str> {
        nth(self.errors, number.into())
    }

    /// Returns how many events are in the table.
    pub(super) fn events(&self) -> usize {
        self.events.split_ascii_whitespace().count()
    }

    /// Returns how many errors are in the table.
    pub(super) fn errors(&self) -> usize {
        self.errors.split_ascii_whitespace().count()
    }
}

fn nth(words: &'static str, number: usize) -> Option<&'static str> {
    words.split_ascii_whitespace().nth(number).filter(|word| *word != "-")
}

static EXTENSIONS: [Extension; 26] = [
    Extension {
        name: "",
        requests: "- CreateWindow# ChangeWindowAttributes# GetWindowAttributes#? DestroyWindow# \
            DestroySubwindows# ChangeSaveSet# ReparentWindow# MapWindow# MapSubwindows# \
            UnmapWindow# UnmapSubwindows# ConfigureWindow# CirculateWindow# GetGeometry#? \
            QueryTree#? InternAtom? GetAtomName? ChangeProperty# DeleteProperty# GetProperty#? \
            ListProperties#? SetSelectionOwner# GetSelectionOwner? ConvertSelection# SendEvent# \
            GrabPointer#? UngrabPointer GrabButton# UngrabButton# ChangeActivePointerGrab# \
            GrabKeyboard#? UngrabKeyboard GrabKey# UngrabKey# AllowEvents GrabServer \
            UngrabServer QueryPointer#? GetMotionEvents#? TranslateCoordinates#? WarpPointer# \
            SetInputFocus# GetInputFocus? QueryKeymap? OpenFont# CloseFont# QueryFont#? \
            QueryTextExtents#? ListFonts? ListFontsWithInfo? SetFontPath GetFontPath? \
            CreatePixmap# FreePixmap# CreateGC# ChangeGC# CopyGC# SetDashes# SetClipRectangles# \
            FreeGC# ClearArea# CopyArea# CopyPlane# PolyPoint# PolyLine# PolySegment# \
            PolyRectangle# PolyArc# FillPoly# PolyFillRectangle# PolyFillArc# PutImage# \
            GetImage#? PolyText8# PolyText16# ImageText8# ImageText16# CreateColormap# \
            FreeColormap# CopyColormapAndFree# InstallColormap# UninstallColormap# \
            ListInstalledColormaps#? AllocColor#? AllocNamedColor#? AllocColorCells#? \
            AllocColorPlanes#? FreeColors# StoreColors# StoreNamedColor# QueryColors#? \
            LookupColor#? CreateCursor# CreateGlyphCursor# FreeCursor# RecolorCursor# \
            QueryBestSize#? QueryExtension? ListExtensions? ChangeKeyboardMapping \
            GetKeyboardMapping? ChangeKeyboardControl GetKeyboardControl? Bell \
            ChangePointerControl GetPointerControl? SetScreenSaver GetScreenSaver? ChangeHosts \
            ListHosts? SetAccessControl SetCloseDownMode KillClient RotateProperties# \
            ForceScreenSaver SetPointerMapping? GetPointerMapping? SetModifierMapping? \
            GetModifierMapping? - - - - - - - NoOperation",
        events: "- - KeyPress KeyRelease ButtonPress ButtonRelease MotionNotify EnterNotify \
            LeaveNotify FocusIn FocusOut KeymapNotify Expose GraphicsExposure NoExposure \
            VisibilityNotify CreateNotify DestroyNotify UnmapNotify MapNotify MapRequest \
            ReparentNotify ConfigureNotify ConfigureRequest GravityNotify ResizeRequest \
            CirculateNotify CirculateRequest PropertyNotify SelectionClear SelectionRequest \
            SelectionNotify ColormapNotify ClientMessage MappingNotify",
        generic: "",
        errors: "- Request Value Window Pixmap Atom Cursor Font Match Drawable Access Alloc Colormap \
            GC IDChoice Name Length Implementation",
    },
    Extension { name: "BIG-REQUESTS", requests: "Enable?", events: "", generic: "", errors: "" },
    Extension {
        name: "Composite",
        requests: "QueryVersion? RedirectWindow# RedirectSubwindows# UnredirectWindow# \
            UnredirectSubwindows# CreateRegionFromBorderClip# NameWindowPixmap# \
            GetOverlayWindow#? ReleaseOverlayWindow#",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "DAMAGE",
        requests: "QueryVersion? Create# Destroy# Subtract# Add#",
        events: "Notify",
        generic: "",
        errors: "BadDamage",
    },
    Extension {
        name: "DOUBLE-BUFFER",
        requests: "QueryVersion? AllocateBackBuffer# DeallocateBackBuffer SwapBuffers BeginIdiom \
            EndIdiom GetVisualInfo? GetBackBufferAttributes?",
        events: "",
        generic: "",
        errors: "BadBuffer",
    },
    Extension {
        name: "DPMS",
        requests: "GetVersion? Capable? GetTimeouts? SetTimeouts Enable Disable ForceLevel Info?",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "DRI2",
        requests: "QueryVersion? Connect#? Authenticate#? CreateDrawable# DestroyDrawable# GetBuffers#? \
            CopyRegion#? GetBuffersWithFormat#? SwapBuffers#? GetMSC#? WaitMSC#? WaitSBC#? \
            SwapInterval# GetParam#?",
        events: "BufferSwapComplete InvalidateBuffers",
        generic: "",
        errors: "",
    },
    Extension {
        name: "DRI3",
        requests: "QueryVersion? Open#? PixmapFromBuffer# BufferFromPixmap#? FenceFromFD# FDFromFence#? \
            GetSupportedModifiers? PixmapFromBuffers# BuffersFromPixmap#? SetDRMDeviceInUse#",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "GLX",
        requests: "- Render RenderLarge CreateContext DestroyContext MakeCurrent#? IsDirect? \
            QueryVersion? WaitGL WaitX CopyContext SwapBuffers UseXFont CreateGLXPixmap \
            GetVisualConfigs? DestroyGLXPixmap# VendorPrivate VendorPrivateWithReply? \
            QueryExtensionsString? QueryServerString? ClientInfo GetFBConfigs? CreatePixmap \
            DestroyPixmap# CreateNewContext QueryContext? MakeContextCurrent? CreatePbuffer \
            DestroyPbuffer GetDrawableAttributes#? ChangeDrawableAttributes# CreateWindow \
            DeleteWindow# SetClientInfoARB CreateContextAttribsARB SetClientInfo2ARB - - - - - - \
            - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - \
            - - - - - - - - - - - - - - - - - NewList EndList DeleteLists GenLists? \
            FeedbackBuffer SelectBuffer RenderMode? Finish? PixelStoref PixelStorei ReadPixels? \
            GetBooleanv? GetClipPlane? GetDoublev? GetError? GetFloatv? GetIntegerv? GetLightfv? \
            GetLightiv? GetMapdv? GetMapfv? GetMapiv? GetMaterialfv? GetMaterialiv? \
            GetPixelMapfv? GetPixelMapuiv? GetPixelMapusv? GetPolygonStipple? GetString? \
            GetTexEnvfv? GetTexEnviv? GetTexGendv? GetTexGenfv? GetTexGeniv? GetTexImage? \
            GetTexParameterfv? GetTexParameteriv? GetTexLevelParameterfv? \
            GetTexLevelParameteriv? IsEnabled? IsList? Flush AreTexturesResident? DeleteTextures \
            GenTextures? IsTexture? GetColorTable? GetColorTableParameterfv? \
            GetColorTableParameteriv? GetConvolutionFilter? GetConvolutionParameterfv? \
            GetConvolutionParameteriv? GetSeparableFilter? GetHistogram? \
            GetHistogramParameterfv? GetHistogramParameteriv? GetMinmax? GetMinmaxParameterfv? \
            GetMinmaxParameteriv? GetCompressedTexImageARB? DeleteQueriesARB GenQueriesARB? \
            IsQueryARB? GetQueryivARB? GetQueryObjectivARB? GetQueryObjectuivARB?",
        events: "PbufferClobber BufferSwapComplete",
        generic: "",
        errors: "BadContext BadContextState BadDrawable BadPixmap BadContextTag BadCurrentWindow \
            BadRenderRequest BadLargeRequest UnsupportedPrivateRequest BadFBConfig BadPbuffer \
            BadCurrentDrawable BadWindow GLXBadProfileARB",
    },
    Extension {
        name: "Present",
        requests: "QueryVersion? Pixmap# NotifyMSC# SelectInput# QueryCapabilities?",
        events: "Generic",
        generic: "ConfigureNotify CompleteNotify IdleNotify RedirectNotify",
        errors: "",
    },
    Extension {
        name: "RANDR",
        requests: "QueryVersion? - SetScreenConfig#? - SelectInput# GetScreenInfo#? \
            GetScreenSizeRange#? SetScreenSize# GetScreenResources#? GetOutputInfo#? \
            ListOutputProperties#? QueryOutputProperty#? ConfigureOutputProperty# \
            ChangeOutputProperty# DeleteOutputProperty# GetOutputProperty#? CreateMode#? \
            DestroyMode AddOutputMode# DeleteOutputMode# GetCrtcInfo#? SetCrtcConfig#? \
            GetCrtcGammaSize#? GetCrtcGamma#? SetCrtcGamma# GetScreenResourcesCurrent#? \
            SetCrtcTransform# GetCrtcTransform#? GetPanning#? SetPanning#? SetOutputPrimary# \
            GetOutputPrimary#? GetProviders#? GetProviderInfo#? SetProviderOffloadSink# \
            SetProviderOutputSource# ListProviderProperties#? QueryProviderProperty#? \
            ConfigureProviderProperty# ChangeProviderProperty# DeleteProviderProperty# \
            GetProviderProperty#? GetMonitors#? SetMonitor# DeleteMonitor# CreateLease#? \
            FreeLease#",
        events: "ScreenChangeNotify Notify",
        generic: "",
        errors: "BadOutput BadCrtc BadMode BadProvider",
    },
    Extension {
        name: "RECORD",
        requests: "QueryVersion? CreateContext RegisterClients UnregisterClients GetContext? \
            EnableContext? DisableContext FreeContext",
        events: "",
        generic: "",
        errors: "BadContext",
    },
    Extension {
        name: "RENDER",
        requests: "QueryVersion? QueryPictFormats? QueryPictIndexValues? - CreatePicture# \
            ChangePicture# SetPictureClipRectangles# FreePicture# Composite - Trapezoids \
            Triangles TriStrip TriFan - - - CreateGlyphSet# ReferenceGlyphSet# FreeGlyphSet# \
            AddGlyphs# - FreeGlyphs# CompositeGlyphs8 CompositeGlyphs16 CompositeGlyphs32 \
            FillRectangles CreateCursor# SetPictureTransform# QueryFilters#? SetPictureFilter# \
            CreateAnimCursor# AddTraps# CreateSolidFill# CreateLinearGradient# \
            CreateRadialGradient# CreateConicalGradient#",
        events: "",
        generic: "",
        errors: "PictFormat Picture PictOp GlyphSet Glyph",
    },
    Extension {
        name: "X-Resource",
        requests: "QueryVersion? QueryClients? QueryClientResources? QueryClientPixmapBytes? \
            QueryClientIds? QueryResourceBytes?",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "MIT-SCREEN-SAVER",
        requests: "QueryVersion? QueryInfo#? SelectInput# SetAttributes# UnsetAttributes# Suspend",
        events: "Notify",
        generic: "",
        errors: "",
    },
    Extension {
        name: "SHAPE",
        requests: "QueryVersion? Rectangles Mask Combine Offset QueryExtents#? SelectInput# \
            InputSelected#? GetRectangles#?",
        events: "Notify",
        generic: "",
        errors: "",
    },
    Extension {
        name: "MIT-SHM",
        requests: "QueryVersion? Attach# Detach# PutImage# GetImage#? CreatePixmap# AttachFd# \
            CreateSegment#?",
        events: "Completion",
        generic: "",
        errors: "BadSeg",
    },
    Extension {
        name: "SYNC",
        requests: "Initialize? ListSystemCounters? CreateCounter# SetCounter# ChangeCounter# \
            QueryCounter#? DestroyCounter# Await CreateAlarm# ChangeAlarm# QueryAlarm#? \
            DestroyAlarm# SetPriority GetPriority? CreateFence# TriggerFence# ResetFence# \
            DestroyFence# QueryFence#? AwaitFence",
        events: "CounterNotify AlarmNotify",
        generic: "",
        errors: "Counter Alarm",
    },
    Extension {
        name: "XC-MISC",
        requests: "GetVersion? GetXIDRange? GetXIDList?",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "XFree86-VidModeExtension",
        requests: "QueryVersion? GetModeLine? ModModeLine SwitchMode GetMonitor? LockModeSwitch \
            GetAllModeLines? AddModeLine DeleteModeLine ValidateModeLine? SwitchToMode \
            GetViewPort? SetViewPort GetDotClocks? SetClientVersion SetGamma GetGamma? \
            GetGammaRamp? SetGammaRamp GetGammaRampSize? GetPermissions?",
        events: "",
        generic: "",
        errors: "BadClock BadHTimings BadVTimings ModeUnsuitable ExtensionDisabled ClientNotLocal \
            ZoomLocked",
    },
    Extension {
        name: "XFIXES",
        requests: "QueryVersion? ChangeSaveSet SelectSelectionInput# SelectCursorInput# GetCursorImage? \
            CreateRegion# CreateRegionFromBitmap# CreateRegionFromWindow# CreateRegionFromGC# \
            CreateRegionFromPicture# DestroyRegion# SetRegion# CopyRegion# UnionRegion# \
            IntersectRegion# SubtractRegion# InvertRegion# TranslateRegion# RegionExtents# \
            FetchRegion#? SetGCClipRegion# SetWindowShapeRegion# SetPictureClipRegion# \
            SetCursorName# GetCursorName#? GetCursorImageAndName? ChangeCursor# \
            ChangeCursorByName# ExpandRegion# HideCursor# ShowCursor# CreatePointerBarrier# \
            DeletePointerBarrier# SetClientDisconnectMode GetClientDisconnectMode?",
        events: "SelectionNotify CursorNotify",
        generic: "",
        errors: "BadRegion",
    },
    Extension {
        name: "XINERAMA",
        requests: "QueryVersion? GetState#? GetScreenCount#? GetScreenSize#? IsActive? QueryScreens?",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "XInputExtension",
        requests: "- GetExtensionVersion? ListInputDevices? OpenDevice? CloseDevice SetDeviceMode? \
            SelectExtensionEvent# GetSelectedExtensionEvents#? ChangeDeviceDontPropagateList# \
            GetDeviceDontPropagateList#? GetDeviceMotionEvents? ChangeKeyboardDevice? \
            ChangePointerDevice? GrabDevice#? UngrabDevice GrabDeviceKey# UngrabDeviceKey# \
            GrabDeviceButton# UngrabDeviceButton# AllowDeviceEvents GetDeviceFocus? \
            SetDeviceFocus# GetFeedbackControl? ChangeFeedbackControl GetDeviceKeyMapping? \
            ChangeDeviceKeyMapping GetDeviceModifierMapping? SetDeviceModifierMapping? \
            GetDeviceButtonMapping? SetDeviceButtonMapping? QueryDeviceState? \
            SendExtensionEvent# DeviceBell SetDeviceValuators? GetDeviceControl? \
            ChangeDeviceControl? ListDeviceProperties? ChangeDeviceProperty DeleteDeviceProperty \
            GetDeviceProperty? XIQueryPointer#? XIWarpPointer# XIChangeCursor# XIChangeHierarchy \
            XISetClientPointer# XIGetClientPointer#? XISelectEvents# XIQueryVersion? \
            XIQueryDevice? XISetFocus# XIGetFocus? XIGrabDevice#? XIUngrabDevice XIAllowEvents \
            XIPassiveGrabDevice? XIPassiveUngrabDevice# XIListProperties? XIChangeProperty \
            XIDeleteProperty XIGetProperty? XIGetSelectedEvents#? XIBarrierReleasePointer",
        events: "DeviceValuator DeviceKeyPress DeviceKeyRelease DeviceButtonPress DeviceButtonRelease \
            DeviceMotionNotify DeviceFocusIn DeviceFocusOut ProximityIn ProximityOut \
            DeviceStateNotify DeviceMappingNotify ChangeDeviceNotify DeviceKeyStateNotify \
            DeviceButtonStateNotify DevicePresenceNotify DevicePropertyNotify",
        generic: "- DeviceChanged KeyPress KeyRelease ButtonPress ButtonRelease Motion Enter Leave \
            FocusIn FocusOut Hierarchy Property RawKeyPress RawKeyRelease RawButtonPress \
            RawButtonRelease RawMotion TouchBegin TouchUpdate TouchEnd TouchOwnership \
            RawTouchBegin RawTouchUpdate RawTouchEnd BarrierHit BarrierLeave GesturePinchBegin \
            GesturePinchUpdate GesturePinchEnd GestureSwipeBegin GestureSwipeUpdate \
            GestureSwipeEnd",
        errors: "Device Event Mode DeviceBusy Class",
    },
    Extension {
        name: "XKEYBOARD",
        requests: "UseExtension? SelectEvents - Bell GetState? LatchLockState GetControls? SetControls \
            GetMap? SetMap GetCompatMap? SetCompatMap GetIndicatorState? GetIndicatorMap? \
            SetIndicatorMap GetNamedIndicator? SetNamedIndicator GetNames? SetNames - - \
            PerClientFlags? ListComponents? GetKbdByName? GetDeviceInfo? SetDeviceInfo - - - - - \
            - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - \
            - - - - - - - - - - - - - - - - - - - - - - - - - - - - SetDebuggingFlags?",
        events: "NewKeyboardNotify MapNotify StateNotify ControlsNotify IndicatorStateNotify \
            IndicatorMapNotify NamesNotify CompatMapNotify BellNotify ActionMessage \
            AccessXNotify ExtensionDeviceNotify",
        generic: "",
        errors: "Keyboard",
    },
    Extension {
        name: "XTEST",
        requests: "GetVersion? CompareCursor#? FakeInput GrabControl",
        events: "",
        generic: "",
        errors: "",
    },
    Extension {
        name: "XVideo",
        requests: "QueryExtension? QueryAdaptors#? QueryEncodings#? GrabPort#? UngrabPort# PutVideo# \
            PutStill# GetVideo# GetStill# StopVideo# SelectVideoNotify# SelectPortNotify# \
            QueryBestSize#? SetPortAttribute# GetPortAttribute#? QueryPortAttributes#? \
            ListImageFormats#? QueryImageAttributes#? PutImage# ShmPutImage#",
        events: "VideoNotify PortNotify",
        generic: "",
        errors: "BadPort BadEncoding BadControl",
    },
];
